import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type AwsTestServers, needsAws, registryEnv, startAwsTestStores } from '../../support/aws/aws-test-store.ts';
import { startFaultProxy } from '../../support/aws/fault-proxy.ts';
import { checkGoldenFlakes } from '../../support/golden-flakes.ts';
import { readGoldens } from '../../support/goldens.ts';
import { needsReferenceData } from '../../support/reference-data.ts';
import { TestSystem } from '../../support/system.ts';

const needed = { skip: needsAws().skip || needsReferenceData.skip };

describe('both services on AWS', needed, () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestStores();
  });
  after(() => servers.stop());

  it('publish, promote, fetch from S3, predict: the golden flakes of every real micrograph', async (t) => {
    const settings = await servers.newStore();
    const proxy = await startFaultProxy(settings.s3Endpoint ?? '');
    try {
      await using system = await TestSystem.start({
        registryEnv: registryEnv(settings),
        env: { AWS_ENDPOINT_URL_S3: proxy.url },
      });
      await checkGoldenFlakes(t, system);
      const fetched = proxy.requests.filter(({ method, url }) => method === 'GET' && url.includes('/blobs/sha256/'));
      assert.ok(fetched.length > 0, 'nothing was fetched from S3');
      // From the very object that was verified, and nothing but objects.
      assert.deepEqual(
        proxy.requests.filter(({ url }) => !url.includes('versionId=')),
        [],
      );
    } finally {
      await proxy.stop();
    }
  });

  it('fetches through the registry where S3 is out of reach', async () => {
    const settings = await servers.newStore();
    const proxy = await startFaultProxy(settings.s3Endpoint ?? '');
    proxy.setFault(() => ({ kind: 'reset' }));
    try {
      await using system = await TestSystem.start({
        registryEnv: registryEnv(settings),
        env: { AWS_ENDPOINT_URL_S3: proxy.url },
      });
      const [golden] = readGoldens(['AMM']);
      const version = await system.release(golden?.bundlePath ?? '', 'CLS_AMM');
      assert.equal(version.version, 1);
      assert.ok(proxy.requests.length > 0, 'S3 was not tried');
    } finally {
      await proxy.stop();
    }
  });
});
