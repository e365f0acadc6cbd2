import { openEmbedded } from './embedded-registry.ts';
import { createClassifier, publish } from './publish.ts';
import { sampleVersion, seededBytes } from './sample-version.ts';

/**
 * Publishes one version after another on the folder given, until somebody kills it, and says on standard output which it has
 * published. The kill test starts it.
 */
const [folder = ''] = process.argv.slice(2);
const { registry } = await openEmbedded(folder);
await createClassifier(registry, 'm').catch(() => undefined);
const { latestVersion } = await registry.getModel('m', AbortSignal.timeout(60_000));
for (let version = latestVersion + 1; ; version++) {
  process.stdout.write(`begin ${version}\n`);
  await publish(
    registry,
    'm',
    sampleVersion([seededBytes(`killed ${version}`, 9_000_000), seededBytes(`small ${version}`, 100)]),
  );
  process.stdout.write(`end ${version}\n`);
}
