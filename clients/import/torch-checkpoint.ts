import { invalidBundle, quote } from './bundle-error.ts';
import type { ByteReader } from './bundle-source.ts';
import { parsePickle } from './pickle.ts';
import type { PickleValue } from './pickle-value.ts';
import { ELEMENT_BYTES, lastElement, type TensorRef, toFloat32 } from './torch-tensor.ts';
import { openTorchZip, type TorchZip } from './torch-zip.ts';

/** 256 MB of float32, more than all of M2F: a shape above this (a stride of 0 makes any shape fit) is not a weight. */
const MAX_ELEMENTS = 64 * 1024 * 1024;

/**
 * A `.pth` file: its object graph as inert values, and its tensors on request. Only the storages that are asked for are read,
 * so the optimizer half of a checkpoint costs nothing.
 */
export class TorchCheckpoint {
  readonly file: string;
  readonly root: PickleValue;
  readonly #zip: TorchZip;

  private constructor(zip: TorchZip, root: PickleValue) {
    this.file = zip.file;
    this.root = root;
    this.#zip = zip;
  }

  /** @throws INVALID_BUNDLE or UNSUPPORTED_MODEL naming the file. */
  static async open(reader: ByteReader, signal: AbortSignal): Promise<TorchCheckpoint> {
    const zip = await openTorchZip(reader, signal);
    return new TorchCheckpoint(zip, parsePickle(await zip.readPickle(), zip.file));
  }

  /**
   * These tensors as float32 in C order, read in the order in which they lie in the file.
   * @throws INVALID_BUNDLE naming the tensor: its storage is missing or of another size than declared, or a value is not finite.
   */
  async readTensors(refs: ReadonlyMap<string, TensorRef>): Promise<Map<string, Float32Array>> {
    const inFileOrder = [...refs].toSorted(
      ([, a], [, b]) => this.#zip.storageAt(a.storageKey) - this.#zip.storageAt(b.storageKey),
    );
    const tensors = new Map<string, Float32Array>();
    for (const [name, ref] of inFileOrder) {
      tensors.set(name, await this.readTensor(name, ref));
    }
    return tensors;
  }

  /** One of them, likewise. */
  async readTensor(name: string, ref: TensorRef): Promise<Float32Array> {
    const fail = (problem: string): Error => invalidBundle(this.file, `${quote(name)}: ${problem}`);
    const elementBytes = ELEMENT_BYTES[ref.element];
    const declaredBytes = ref.storageElements * elementBytes;
    const storedBytes = this.#zip.storageBytes(ref.storageKey);
    if (storedBytes !== declaredBytes) {
      throw fail(`its storage ${ref.storageKey} should have ${declaredBytes} bytes, found ${storedBytes ?? 'no such entry'}`);
    }
    const elements = ref.shape.reduce((product, size) => product * size, 1);
    if (elements > MAX_ELEMENTS) {
      throw fail(`has ${elements} elements, at most ${MAX_ELEMENTS} are read`);
    }
    if (elements === 0) {
      return new Float32Array(0);
    }
    const lengthBytes = (lastElement(ref) + 1 - ref.offset) * elementBytes;
    const values = toFloat32(ref, await this.#zip.readStorage(ref.storageKey, ref.offset * elementBytes, lengthBytes));
    if (!values.every(Number.isFinite)) {
      throw fail('holds values that are not finite');
    }
    return values;
  }
}
