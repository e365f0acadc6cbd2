import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { it } from 'node:test';
import { startLocalAws } from '../../../infra/local/aws-servers.ts';
import { startLocalServer } from '../../../infra/local/local-server.ts';
import { ToolMissingError } from '../../../infra/local/tools.ts';
import { processEnvironment } from '../../../infra/process/env.ts';
import { isRunning } from '../../support/processes.ts';

const env = processEnvironment();
/** Answers with its process id: its port may be another program's as soon as it is gone. */
const LISTEN =
  "require('node:http').createServer((_, answer) => answer.end(`${process.pid}`)).listen(Number(process.argv[1]), '127.0.0.1');";

/** A server that is a line of JavaScript; gives the folder it was handed. */
async function start(code: string, folders: string[] = [], startLimitMs?: number) {
  return startLocalServer({
    name: 'line',
    program: process.execPath,
    env,
    args: async (port, folder) => {
      folders.push(folder);
      return ['-e', code, String(port)];
    },
    stopLimitMs: 50,
    ...(startLimitMs !== undefined && { startLimitMs }),
  });
}

async function pidOf({ port }: { readonly port: number }): Promise<number> {
  return Number(await (await fetch(`http://127.0.0.1:${port}`)).text());
}

it('starts a server on a free port, and leaves neither process nor data', async () => {
  const folders: string[] = [];
  const server = await start(LISTEN, folders);
  const pid = await pidOf(server);
  assert.equal(isRunning(pid), true);
  assert.deepEqual(folders.map(existsSync), [true]);
  await server.stop();
  await server.stop();
  assert.equal(isRunning(pid), false);
  assert.deepEqual(folders.map(existsSync), [false]);
});

it('ends a server that does not end when asked', async () => {
  const server = await start(`process.on('SIGTERM', () => {}); ${LISTEN}`);
  const pid = await pidOf(server);
  await server.stop();
  assert.equal(isRunning(pid), false);
});

it('says what a server wrote that did not come up', async () => {
  const folders: string[] = [];
  await assert.rejects(start("console.error('no such disk'); process.exit(3)", folders), /no such disk/);
  // Another process may have taken the port: it is tried again, and nothing of a try is left.
  assert.ok(folders.length > 1 && !folders.some(existsSync));
});

it('gives up a program that runs and takes no connections, at once: another port would not help', async () => {
  const folders: string[] = [];
  await assert.rejects(start('setInterval(() => {}, 1000)', folders, 200), /did not come up/);
  assert.deepEqual(folders.map(existsSync), [false]);
});

it('says that a program cannot be started', async () => {
  const missing = startLocalServer({ name: 'none', program: '/nowhere/none', env, args: async () => [] });
  await assert.rejects(missing, /ENOENT/);
});

it('says which program is missing', async () => {
  await assert.rejects(startLocalAws({ folder: '/nowhere', env: { PATH: '' } }), (error) => {
    assert.ok(error instanceof ToolMissingError && /dynamodb-local/.test(error.message));
    return true;
  });
});
