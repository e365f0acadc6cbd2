import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../../clients/demo/main.js', import.meta.url));

/** The services are there: the demo is in the middle of its work. */
const BEGUN = 'services ';
/** The program interrupts itself as it prints that: whoever reads what it prints may come too late on a busy machine. */
const INTERRUPT = `data:text/javascript,const write=process.stdout.write.bind(process.stdout);
  process.stdout.write=(text,...rest)=>{if(String(text).includes('${BEGUN}'))process.kill(process.pid,'SIGINT');return write(text,...rest)}`;

/** What the demo left in its temporary folder, without the session files of ONNX Runtime's own telemetry. */
async function own(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !/^(?:mat-debug-\d+\.log|\.ses)$/.test(name));
}

describe('npm run demo', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'demo-main-test-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** The program with `folder` as the system's temporary folder. */
  async function run(args: readonly string[], options: readonly string[] = []): Promise<{ code: unknown; text: string }> {
    const child = spawn(process.execPath, [...options, program, ...args], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
    }
    const [code]: unknown[] = await once(child, 'close');
    return { code, text };
  }

  it('finds what it put in, through both services, and leaves only what there is to look at', async () => {
    const { code, text } = await run(['--seed', '7']);
    assert.equal(code, 0, text);
    const [left, ...others] = await own(folder);
    assert.ok(left !== undefined);
    assert.deepEqual(others, []);
    assert.deepEqual((await readdir(join(folder, left))).toSorted(), ['CLS_GMM_Demo', 'micrograph.jpg', 'overlay.png']);
    assert.ok(text.includes(join(folder, left, 'overlay.png')));
    assert.equal(text.match(/ agrees$/gm)?.length, 17);
    assert.match(text, /CLS_GMM_Demo:1 sha256:[0-9a-f]{64}/);
  });

  it('stops on SIGINT with a failure, and cleans up', async () => {
    const { code, text } = await run(['--out', join(folder, 'out')], ['--import', INTERRUPT]);
    assert.equal(code, 1, text);
    assert.match(text, /the demo failed: stopped by SIGINT/);
    assert.deepEqual(await own(folder), ['out']);
  });

  it('fails where it cannot write, and cleans up', async () => {
    const { code } = await run(['--out', join(program, 'out')]);
    assert.equal(code, 1);
    assert.deepEqual(await own(folder), []);
  });

  it('refuses a seed that is not a number, with the reason', async () => {
    const { code, text } = await run(['--seed', 'x']);
    assert.notEqual(code, 0);
    assert.match(text, /--seed/);
    assert.deepEqual(await own(folder), []);
  });
});
