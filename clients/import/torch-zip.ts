import { invalidBundle, listSome, quote, unsupportedModel } from './bundle-error.ts';
import type { ByteReader } from './bundle-source.ts';
import { checkCrc32, crc32Of, readZipDirectory, type ZipEntry } from './zip-directory.ts';

/** One entry a tensor; the largest family, M2F with optimizer state, has about 1 500. */
const MAX_ENTRIES = 65_536;
const MAX_PICKLE_BYTES = 32 * 1024 * 1024;
/** Where a `.pth` of PyTorch up to 1.5 begins: the pickled magic number 0x1950a86a20f9469cfc6c. */
const LEGACY_MAGIC = '80028a0a6cfc9c46f9206aa85019';

/** The container of a `.pth` file: a zip of stored entries under one top folder, whatever its name. */
export interface TorchZip {
  readonly file: string;
  /** The object graph. */
  readPickle(): Promise<Uint8Array>;
  /** Bytes of storage `key` in the file; undefined where there is none. */
  storageBytes(key: string): number | undefined;
  /** Where storage `key` lies: for reading storages in the order of the file. */
  storageAt(key: string): number;
  /** Part of a storage, or all of it, which is then checked against its checksum. */
  readStorage(key: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
}

/**
 * Opens a `.pth` without reading more than its directory.
 * @throws INVALID_BUNDLE naming the file; UNSUPPORTED_MODEL for PyTorch's older format, TorchScript and big-endian files.
 */
export async function openTorchZip(reader: ByteReader, signal: AbortSignal): Promise<TorchZip> {
  const { file } = reader;
  const start = await reader.read(0, Math.min(LEGACY_MAGIC.length / 2, reader.sizeBytes));
  if (Buffer.from(start).toString('hex') === LEGACY_MAGIC) {
    throw unsupportedModel(
      file,
      'written in the format of PyTorch before 1.6, which is not a zip: save it again with a later one',
    );
  }
  const entries = await readZipDirectory(reader, MAX_ENTRIES, signal);
  const prefix = topFolder(entries, file);
  const byName = new Map(entries.map((entry, order) => [entry.name.slice(prefix.length), { entry, order }]));
  if (byName.has('constants.pkl')) {
    throw unsupportedModel(file, 'a TorchScript archive, expected a state dict written by torch.save');
  }
  const storage = (key: string): { entry: ZipEntry; order: number } | undefined => byName.get(`data/${key}`);
  const read = async (
    found: { entry: ZipEntry } | undefined,
    name: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array> => {
    if (found === undefined) {
      throw invalidBundle(file, `has no entry ${quote(prefix + name)}`);
    }
    return readEntry(reader, found.entry, offsetBytes, lengthBytes);
  };
  await checkByteOrder(byName.get('byteorder')?.entry, reader);
  return {
    file,
    readPickle: () => {
      const found = byName.get('data.pkl');
      const sizeBytes = found?.entry.sizeBytes ?? 0;
      if (sizeBytes > MAX_PICKLE_BYTES) {
        throw invalidBundle(file, `data.pkl has ${sizeBytes} bytes, at most ${MAX_PICKLE_BYTES} are read`);
      }
      return read(found, 'data.pkl', 0, sizeBytes);
    },
    storageBytes: (key) => storage(key)?.entry.sizeBytes,
    storageAt: (key) => storage(key)?.order ?? 0,
    readStorage: (key, offsetBytes, lengthBytes) => read(storage(key), `data/${key}`, offsetBytes, lengthBytes),
  };
}

/** The file's stem when it was saved by path (`model/`), `archive/` when saved through an open file. */
function topFolder(entries: readonly ZipEntry[], file: string): string {
  const folders = [...new Set(entries.map(({ name }) => name.slice(0, name.indexOf('/') + 1)))];
  const [folder] = folders;
  if (folder === undefined || folder === '' || folders.length > 1) {
    const found = folders.length === 0 ? 'nothing' : listSome(folders.map((name) => quote(name)));
    throw invalidBundle(file, `expected the zip of a PyTorch checkpoint, with one top folder; found ${found}`);
  }
  return folder;
}

async function checkByteOrder(entry: ZipEntry | undefined, reader: ByteReader): Promise<void> {
  if (entry === undefined) {
    return;
  }
  const text = Buffer.from(await readEntry(reader, entry, 0, Math.min(entry.sizeBytes, 16))).toString('latin1');
  if (text !== 'little') {
    throw unsupportedModel(reader.file, `byte order ${quote(text)}, expected "little"`);
  }
}

async function readEntry(reader: ByteReader, entry: ZipEntry, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
  if (entry.method !== 'stored' || entry.isEncrypted) {
    throw invalidBundle(reader.file, `${quote(entry.name)} is compressed or encrypted, PyTorch stores its entries as they are`);
  }
  const bytes = await reader.read((await entry.locate()) + offsetBytes, lengthBytes);
  if (offsetBytes === 0 && lengthBytes === entry.sizeBytes) {
    checkCrc32(entry, crc32Of(bytes), reader.file);
  }
  return bytes;
}
