import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { Moments } from '../support/soak/moments.ts';
import { MODEL, ReleaseBench } from '../support/soak/release-bench.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 30;
/** A new folder after so many versions, for the sake of the disk. */
const ROUNDS_A_FOLDER = 10;

soakTest(
  import.meta.url,
  'a publisher killed at 30 random moments: nothing partial shows, nothing is sent twice, the retry succeeds',
  async (run) => {
    const random = run.random('killed publisher');
    const kills = run.portion(KILLS);
    const moments = new Moments(random);
    for (let done = 0; done < kills; ) {
      await using bench = await ReleaseBench.start(random);
      await measure(bench, moments);
      const until = Math.min(kills, done + ROUNDS_A_FOLDER);
      while (done < until) {
        done += (await round(bench, moments)) ? 1 : 0;
      }
      run.say(`${done} kills; the reader saw ${JSON.stringify(bench.reader.seen)}`);
    }
    run.say(`kills by what was missing then: ${moments.summary()}`);
  },
);

/** How long it takes undisturbed, from its first word to the registry to its end. */
async function measure(bench: ReleaseBench, moments: Moments): Promise<void> {
  const version = await bench.makeVersion();
  const publisher = bench.startPublish(version, '--promote', 'production');
  await bench.link.untilUsed();
  await moments.measure('publish', async () => assert.equal((await publisher.ended).code, 0));
}

/** False when the publisher was quicker than the moment of its death. */
async function round(bench: ReleaseBench, moments: Moments): Promise<boolean> {
  const version = await bench.makeVersion();
  const used = bench.link.untilUsed();
  const publisher = bench.startPublish(version, '--promote', 'production');
  await used;
  await Promise.race([setTimeout(moments.next('publish')), publisher.ended]);
  const wasRunning = publisher.isRunning;
  await bench.kill(publisher);
  const missing = await bench.missingInRegistry(version);
  const sentBefore = bench.link.upBytes;

  const { code, out, err } = await bench.startPublish(version, '--promote', 'production').ended;
  assert.equal(code, 0, err);
  bench.assertNotMore('published again', bench.link.upBytes - sentBefore, missing);
  const published = await bench.versionOf(version);
  assert.equal(JSON.parse(out).version, published.version);
  const { aliases } = await bench.client.getModel(MODEL);
  assert.deepEqual(
    aliases.map(({ alias, version: target }) => [alias, target]),
    [['production', published.version]],
  );
  await bench.reader.caughtUp();
  await bench.assertNoRegistryLeftovers();
  if (wasRunning) {
    moments.hitWith('publish', missing);
  }
  return wasRunning;
}
