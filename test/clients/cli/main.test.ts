import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createRegistryClient } from '../../../clients/registry-client.ts';
import { FakeRegistry } from '../../support/fake-registry.ts';
import { repositoryRoot } from '../../support/reference-data.ts';
import { refusedPort } from '../../support/refused-port.ts';
import { runCommand } from '../../support/run-command.ts';

const MAIN = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');

/** Two layers with made-up contrasts, as the training code writes them. */
const CONTRASTS = Object.fromEntries(
  [1, 2].map((layer) => [
    String(layer),
    {
      contrast: { b: -0.1 * layer, g: -0.2 * layer, r: -0.15 * layer },
      covariance_matrix: [
        [1e-3, 0, 0],
        [0, 1e-3, 0],
        [0, 0, 1e-3],
      ],
    },
  ]),
);

interface Exit {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-main-'));
  await mkdir(join(folder, 'CLS_GMM_Made'));
  await writeFile(join(folder, 'CLS_GMM_Made', 'contrast_dict.json'), JSON.stringify(CONTRASTS));
});
after(() => rm(folder, { recursive: true }));

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Exit> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder, ...env },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const LINES: [string, string[], number, RegExp][] = [
  ['no command', [], 2, /Usage: maskterial/],
  ['unknown command', ['publsh'], 2, /unknown command 'publsh'/],
  ['unknown option', ['models', '--jsn'], 2, /unknown option '--jsn'/],
  ['missing argument', ['predict'], 2, /missing required argument/],
  ['threshold out of range', ['predict', 'a', '--score-threshold', '2'], 2, /from 0 to 1/],
  ['not a number', ['predict', 'a', '--um-per-px', 'x'], 2, /expected a number/],
  ['two formats', ['predict', 'a', '--csv', '--json', '--classification', 'A'], 2, /cannot be used with/],
  ['bad model name', ['versions', '../x'], 2, /expected a model name/],
  ['bad reference', ['promote', 'A:0'], 2, /version number/],
  ['bad label', ['models', '--label', 'x'], 2, /key=value/],
  ['bad label key', ['publish', 'x', '--label', 'Team=a'], 2, /label\.Team/],
  ['bad label value', ['publish', 'x', '--label', `team=${'v'.repeat(256)}`], 2, /label\.team/],
  ['bad address', ['models', '--registry', 'http://x:1'], 2, /host:port/],
  ['no such port', ['models', '--registry', 'x:65536'], 2, /host:port/],
];
for (const [name, args, code, message] of LINES) {
  test(`exit code ${code}: ${name}`, async () => {
    const exit = await runCommand(args);
    assert.equal(exit.code, code, exit.err);
    assert.match(exit.err, message);
    assert.equal(exit.out, '');
    assert.ok(!exit.err.includes('    at '), 'no stack');
  });
}

// A link that npx made for an earlier build in this folder is used as it stands: npm makes what it points to executable only when it makes the link.
test('what is built runs as a program', async () => {
  const { stdout } = await promisify(execFile)(MAIN, ['--version']);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('a wrong command line and a wrong setting end the process with 2 and one line', async () => {
  for (const args of [['publsh'], ['serve', 'registry', '--data', 'x']]) {
    const { code, out, err } = await run(args, { REGISTRY_PORT: 'nonsense' });
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^maskterial: error: .*(publsh|REGISTRY_PORT).*\n$/);
  }
});

test('serve all tells every wrong setting of both services in one line', async () => {
  const { code, out, err } = await run(['serve', 'all'], { REGISTRY_PORT: 'x', INFERENCE_PORT: 'y', ENGINES: 'z' });
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, /^maskterial: error: .*REGISTRY_PORT.*ENGINES.*INFERENCE_PORT.*\n$/);
});

test('an address from the environment is checked like one from the command line', async () => {
  const env = { MASKTERIAL_REGISTRY: 'localhost', MASKTERIAL_INFERENCE: 'localhost:99999' };
  const models = await runCommand(['models'], env);
  assert.deepEqual([models.code, /MASKTERIAL_REGISTRY: expected host:port, found "localhost"/.test(models.err)], [2, true]);
  const status = await runCommand(['status'], env);
  assert.deepEqual([status.code, /MASKTERIAL_INFERENCE: expected host:port/.test(status.err)], [2, true]);
  // What the command line says counts, and nothing else is looked at.
  assert.equal((await runCommand(['status', '--inference', '127.0.0.1:1', '--timeout', '30'], env)).code, 3);
});

test('an address from the environment is nothing to a command that works offline', async () => {
  const { code, err } = await runCommand(['check', join(folder, 'CLS_GMM_Made')], { MASKTERIAL_REGISTRY: 'localhost' });
  assert.equal(code, 0, err);
});

test('another address needs --insecure', async () => {
  const env = { REGISTRY_HOST: '0.0.0.0', REGISTRY_PORT: '0' };
  const refused = await run(['serve', 'registry'], env);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /REGISTRY_HOST.*--insecure/);
  // It goes on to the folder, which is none.
  const allowed = await run(['serve', 'registry', '--insecure', '--data', '/dev/null'], env);
  assert.equal(allowed.code, 1);
  assert.match(allowed.err, /\/dev\/null/);
});

test('an address that is taken ends the process with a clear error, and nothing keeps it', async () => {
  const server = await new FakeRegistry().start();
  const port = server.address.split(':').at(-1) ?? '';
  for (const what of ['registry', 'inference']) {
    const env = { REGISTRY_PORT: port, INFERENCE_PORT: port, LOG_LEVEL: 'silent' };
    const own = what === 'registry' ? ['--data', join(folder, 'data-taken')] : ['--cache', join(folder, 'cache-taken')];
    const { code, err } = await run(['serve', what, ...own], env);
    assert.equal(code, 1);
    assert.match(err, /^maskterial: error: cannot listen on .* \[CANNOT_LISTEN\]\n$/m);
  }
  await server[Symbol.asyncDispose]();
});

test('help and version go to standard output', async () => {
  const help = await run(['--help']);
  assert.deepEqual([help.code, help.err], [0, '']);
  assert.match(help.out, /Exit codes:/);
  assert.match((await run(['predict', '--help'])).out, /--um-per-px/);
  assert.match((await run(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
});

test('output that cannot be written is a failure that says so', {
  skip: !existsSync('/dev/full') && 'no /dev/full here',
}, async () => {
  const full = await open('/dev/full', 'w');
  try {
    const child = spawn(process.execPath, [MAIN, '--version'], { cwd: folder, stdio: ['ignore', full.fd, 'pipe'] });
    let err = '';
    child.stderr?.on('data', (data: Buffer) => (err += data.toString()));
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(err, /standard output/);
  } finally {
    await full.close();
  }
});

test('a registry that cannot use its data is exit code 1: trying later is no use', async () => {
  const damaged = join(folder, 'damaged');
  await mkdir(damaged);
  await writeFile(join(damaged, 'catalog.sqlite'), 'not a database, '.repeat(1000));
  await writeFile(join(folder, 'file'), '');
  for (const data of [damaged, join(folder, 'file', 'data'), ...(process.platform === 'linux' ? ['/proc/maskterial'] : [])]) {
    const { code, out, err } = await run(['serve', 'registry', '--data', data], { REGISTRY_PORT: '0' });
    assert.deepEqual([code, out], [1, ''], err);
    const [line] = err.trim().split('\n');
    assert.ok(line?.startsWith('maskterial: error:') && line.includes(data), err);
  }
});

test('a server that is not there is exit code 3, also for scripts', async () => {
  await using nobody = await refusedPort();
  // Long enough for the last try on a busy machine; with what is left of a second it would be too late instead.
  const { code, out, err } = await run(['models', '--json', '--timeout', '60'], { MASKTERIAL_REGISTRY: nobody.address });
  assert.deepEqual([code, out], [3, '']);
  const { error } = JSON.parse(err);
  assert.deepEqual([error.kind, error.reason], ['unavailable', 'UNAVAILABLE']);
  assert.ok(error.message.includes(nobody.address));
});

test('import writes the graph and the manifest, and never over something', async () => {
  const first = await run(['import', 'CLS_GMM_Made', '--out', 'out']);
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^GMM classification CLS_GMM_Made\n/);
  assert.deepEqual((await readdir(join(folder, 'out'))).toSorted(), ['check.json', 'manifest.json', 'model.onnx']);
  const again = await run(['import', 'CLS_GMM_Made', '--out', 'out', '--json']);
  assert.equal(again.code, 1);
  assert.equal(JSON.parse(again.err).error.reason, 'OUTPUT_EXISTS');
  assert.equal((await run(['import', 'nothing-here'])).code, 1);
  const spaced = await run(['import', 'CLS_GMM_Made', '--out', "out of Ada's"]);
  assert.match(spaced.out, /maskterial publish 'out of Ada'\\''s' --model CLS_GMM_Made\n$/);
});

test('serve all says what runs where, serves, and stops in order at SIGTERM', async () => {
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    REGISTRY_PORT: '0',
    INFERENCE_PORT: '0',
    ENGINES: '1',
    ENGINE: '2',
    LOG_LEVEL: 'info',
  };
  const args = [MAIN, 'serve', 'all', '--data', join(folder, 'data'), '--cache', join(folder, 'cache')];
  const child = spawn(process.execPath, args, { env });
  let out = '';
  let err = '';
  child.stderr.on('data', (data: Buffer) => (err += data.toString()));
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString();
      if (out.includes('inference  ')) {
        resolve();
      }
    });
  });
  await Promise.race([ready, closed.then((code) => assert.fail(`ended with ${code}: ${err}`))]);
  const [, registryAddress = ''] = /registry {3}(\S+) {2}data in (.*)/.exec(out) ?? [];
  assert.match(out, new RegExp(`inference {2}\\S+ {2}cache in ${join(folder, 'cache')}, registry ${registryAddress}\n`));
  const publish = await run(['publish', 'CLS_GMM_Made', '--promote', 'production', '--registry', registryAddress]);
  assert.equal(publish.code, 0, publish.err);
  const client = createRegistryClient({ address: registryAddress });
  assert.equal((await client.getModel('CLS_GMM_Made')).latestVersion, 1);
  client.close();
  child.kill('SIGTERM');
  assert.equal(await closed, 0, err);
  assert.match(out, /stopped\n$/);
  const stops = err
    .split('\n')
    .filter((line) => line.includes('"stopped"'))
    .map((line) => JSON.parse(line).service);
  assert.deepEqual(stops, ['inference', 'registry']);
  assert.match(err, /"variable":"ENGINE","meant":"ENGINES"/);
});
