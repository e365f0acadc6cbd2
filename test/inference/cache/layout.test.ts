import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { CacheLayout, parsePartialName } from '../../../inference/cache/layout.ts';
import { processOwners } from '../../../inference/cache/owners.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { deadOwner } from '../../support/cache-folder.ts';
import { isError } from '../../support/service-errors.ts';

const REF = refOf(Buffer.from('abc'));
const HEX = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test('the paths of format 1', () => {
  const layout = new CacheLayout('/cache');
  assert.equal(layout.blob(REF.digest), `/cache/v1/blobs/sha256/ba/${HEX}`);
  assert.equal(layout.partial(REF, 'me-1', 'data'), `/cache/v1/partial/${HEX}-3.me-1`);
  assert.equal(layout.partial(REF, 'me-1', 'journal'), `/cache/v1/partial/${HEX}-3.me-1.journal`);
  assert.equal(layout.quarantined(REF.digest, 17, 'ab'), `/cache/v1/quarantine/${HEX}.17-ab`);
  assert.equal(layout.pin(REF.digest, 'me-1'), `/cache/v1/pins/me-1/${HEX}`);
  assert.equal(layout.stateFile('aliases'), '/cache/v1/state/aliases.json');
});

test('owners become no paths unchecked', () => {
  const layout = new CacheLayout('/cache');
  for (const owner of ['', '..', '../x', 'a/b', 'A', 'a.journal', 'x'.repeat(81)]) {
    assert.throws(() => layout.partial(REF, owner, 'data'), isError('invalid-argument', 'INVALID_REQUEST'));
    assert.throws(() => layout.pinsOf(owner), isError('invalid-argument', 'INVALID_REQUEST'));
  }
});

test('names of partial files: read back as they were made, foreign ones refused', () => {
  const layout = new CacheLayout('/cache');
  for (const part of ['data', 'journal', 'put', 'evicting'] as const) {
    const name = layout.partial(REF, 'me-1', part).slice('/cache/v1/partial/'.length);
    assert.deepEqual(parsePartialName(name), { ref: REF, owner: 'me-1', part });
  }
  for (const name of [
    '',
    HEX,
    `${HEX}-3`,
    `${HEX}-3.`,
    `${HEX}-x.me`,
    `${HEX.toUpperCase()}-3.me`,
    `${HEX}-3.me.other`,
    `x${HEX}-3.me`,
  ]) {
    assert.equal(parsePartialName(name), undefined, name);
  }
});

test('owners: two of one process differ; alive while the process lives, dead after, and with a reused process id', async () => {
  const owners = await processOwners(() => 1000);
  const other = await processOwners(() => 1000);
  assert.notEqual(owners.self, other.self);
  assert.equal(await other.isAlive(owners.self, 0), true);
  assert.equal(await owners.isAlive(deadOwner(owners.self), 0), process.platform !== 'linux');
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  const [, start, scope, random] = owners.self.split('-');
  assert.equal(await owners.isAlive(`${child.pid}-${start}-${scope}-${random}`, 1000), false);
});

test('owners out of sight are alive for a day after their last sign', async () => {
  const owners = await processOwners(() => 200_000_000);
  for (const id of ['7-100-aaaaaaaaaaaa-00000000', 'of-a-later-release']) {
    assert.equal(await owners.isAlive(id, 200_000_000 - 23 * 3_600_000), true);
    assert.equal(await owners.isAlive(id, 200_000_000 - 25 * 3_600_000), false);
  }
});
