import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BundleSource } from '../../../../clients/import/bundle-source.ts';
import { importBundle } from '../../../../clients/import/import-bundle.ts';
import { openZipSource, ZIP_LIMITS, type ZipLimits } from '../../../../clients/import/sources/zip-source.ts';
import { rejectsBundle } from '../../../support/bundle-errors.ts';
import { ammFiles, randomAmm, seededRandom } from '../../../support/bundle-models.ts';
import { type TestZipEntry, writeZip } from '../../../support/bundle-zip.ts';

const { signal } = new AbortController();
const random = seededRandom(5);
/** Compresses to about a half. */
const CONTENT = Buffer.from(Array.from({ length: 300_000 }, () => Math.floor((random() + 0.5) * 16)));

describe('a zip source', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'zip-source-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const open = (bytes: Uint8Array, limits?: ZipLimits): Promise<BundleSource> => {
    writeFileSync(join(folder, 'b.zip'), bytes);
    return openZipSource(join(folder, 'b.zip'), signal, limits);
  };
  const use = async <T>(bytes: Uint8Array, action: (source: BundleSource) => Promise<T>): Promise<T> => {
    const source = await open(bytes);
    try {
      return await action(source);
    } finally {
      await source.close();
    }
  };

  for (const isDeflated of [false, true]) {
    for (const isZip64 of [false, true]) {
      it(`reads ranges in any order: ${isDeflated ? 'deflated' : 'stored'}${isZip64 ? ', zip64' : ''}`, async () => {
        const zip = writeZip(
          [
            { name: 'a/', bytes: Buffer.alloc(0) },
            { name: 'a/x.bin', bytes: CONTENT, isDeflated },
            { name: 'a/empty', bytes: Buffer.alloc(0), isDeflated },
          ],
          isZip64,
        );
        await use(zip, async (source) => {
          assert.equal(source.name, 'b.zip');
          assert.deepEqual(await source.list(signal), [
            { path: 'a/empty', sizeBytes: 0 },
            { path: 'a/x.bin', sizeBytes: CONTENT.byteLength },
          ]);
          for (const [offset, length] of [
            [0, 10],
            [100_000, 70_000],
            [170_000, 1],
            [5, 5],
            [0, CONTENT.byteLength],
            [CONTENT.byteLength, 0],
          ] as const) {
            assert.deepEqual(
              Buffer.from(await source.readRange('a/x.bin', offset, length, signal)),
              CONTENT.subarray(offset, offset + length),
            );
          }
          assert.equal((await source.readRange('a/empty', 0, 0, signal)).byteLength, 0);
          await rejectsBundle(source.readRange('a/x.bin', CONTENT.byteLength, 1, signal), 'a/x.bin');
          await rejectsBundle(source.readRange('a/x.bin', -1, 1, signal), 'a/x.bin');
          await rejectsBundle(source.readRange('a/other', 0, 1, signal), 'b.zip');
          await assert.rejects(source.readRange('a/x.bin', 0, 1, AbortSignal.abort()), { reason: 'CANCELLED' });
        });
      });
    }
  }

  it('gives an importable bundle, whether stored or deflated', async () => {
    const files = Object.entries(ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true })));
    const digests = [false, true].map((isDeflated) =>
      use(
        writeZip(files.map(([name, bytes]) => ({ name: `CLS_AMM_X/${name}`, bytes, isDeflated }))),
        async (source) => (await importBundle(source, { signal })).files[0]?.ref.digest,
      ),
    );
    const [stored, deflated] = [await digests[0], await digests[1]];
    assert.equal(stored, deflated);
  });

  const entry = (changes: Partial<TestZipEntry> = {}): TestZipEntry => ({ name: 'm/model.pth', bytes: CONTENT, ...changes });
  const refused: readonly (readonly [string, Buffer])[] = [
    ['a name with ..', writeZip([entry({ name: '../model.pth' })])],
    ['a name with .. inside', writeZip([entry({ name: 'm/../../model.pth' })])],
    ['a name with .. behind backslashes', writeZip([entry({ name: 'm\\..\\..\\model.pth' })])],
    ['an absolute name', writeZip([entry({ name: '/etc/passwd' })])],
    ['a drive', writeZip([entry({ name: 'C:/model.pth' })])],
    ['a name with a control character', writeZip([entry({ name: 'm/mo\u0000del.pth' })])],
    ['an empty name', writeZip([entry({ name: '' })])],
    ['a symbolic link', writeZip([entry({ unixMode: 0o120777, bytes: Buffer.from('/etc/passwd') })])],
    ['a name twice', writeZip([entry(), entry()])],
    ['a name twice by backslash', writeZip([entry(), entry({ name: 'm\\model.pth' })])],
    ['an encrypted file', writeZip([entry({ flags: 1 })])],
    ['a bomb by its declared size', writeZip([entry({ bytes: Buffer.alloc(64 * 1024 * 1024), isDeflated: true })])],
    ['no directory', writeZip([entry()]).subarray(0, 200_000)],
    ['a truncated directory', Buffer.concat([writeZip([entry()]).subarray(0, -60), writeZip([entry()]).subarray(-22)])],
    ['no zip', Buffer.from('not a zip at all')],
    ['nothing', Buffer.alloc(0)],
  ];
  for (const [name, bytes] of refused) {
    it(`is refused: ${name}`, async () => {
      const filesBefore = readdirSync(folder).length;
      await rejectsBundle(open(bytes), 'b.zip');
      assert.equal(readdirSync(folder).length, Math.max(1, filesBefore));
    });
  }

  it('is refused beyond its limits: files, bytes', async () => {
    await rejectsBundle(open(writeZip([entry(), entry({ name: 'b' })]), { ...ZIP_LIMITS, maxEntries: 1 }), 'b.zip');
    await rejectsBundle(open(writeZip([entry(), entry({ name: 'b' })]), { ...ZIP_LIMITS, maxTotalBytes: 500_000 }), 'b.zip');
  });

  const damaged: readonly (readonly [string, Buffer])[] = [
    ['unpacks to more than it declares', writeZip([entry({ isDeflated: true, declaredBytes: 1000, crc: 0 })])],
    ['unpacks to less than it declares', writeZip([entry({ isDeflated: true, declaredBytes: 400_000, crc: 0 })])],
    ['has another checksum, deflated', writeZip([entry({ isDeflated: true, crc: 7 })])],
    ['has another checksum, stored', writeZip([entry({ crc: 7 })])],
    ['is no deflated data', writeZip([entry({ method: 8, crc: 0 })])],
    ['is compressed by another method', writeZip([entry({ method: 14 })])],
  ];
  for (const [name, bytes] of damaged) {
    it(`says so where a file ${name}`, async () => {
      await use(bytes, async (source) => {
        const [file] = await source.list(signal);
        await rejectsBundle(source.readRange('m/model.pth', 0, file?.sizeBytes ?? 0, signal), 'm/model.pth');
      });
    });
  }

  it('says so where the file is not there', async () => {
    await rejectsBundle(openZipSource(join(folder, 'none.zip'), signal), 'none.zip');
  });
});
