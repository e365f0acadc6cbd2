import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { repositoryRoot } from '../support/reference-data.ts';

const run = promisify(execFile);

/** How many files of the AWS SDK a process has loaded after it loaded this module of ours. */
async function loadedWith(module: string): Promise<number> {
  const code = `import(process.argv[1]).then(() => console.log(Object.keys(require.cache).filter((path) => /@aws-sdk/.test(path)).length))`;
  const { stdout } = await run(process.execPath, ['-e', code, join(repositoryRoot, 'dist', module)]);
  return Number(stdout);
}

it('loads the AWS SDK where it is used and not before', async () => {
  for (const module of ['registry/main.js', 'inference/main.js', 'clients/cli/program.js']) {
    assert.equal(await loadedWith(module), 0, module);
  }
  assert.ok((await loadedWith('registry/adapters/aws/open-aws-store.js')) > 0);
});
