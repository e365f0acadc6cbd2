import { hashChunks } from '../../proto/wire/chunk-digests.ts';
import { hexOf } from '../../proto/wire/digest.ts';
import type { ImportedFile } from './imported-file.ts';
import type { GraphBuilder, GraphValue } from './onnx-graph.ts';

/** Where each tensor begins: whole vectors for the processor, and whole lines of its cache. */
const ALIGNMENT_BYTES = 64;

interface Weight {
  readonly offsetBytes: number;
  readonly elements: number;
  readonly values: () => Float32Array | Promise<Float32Array>;
}

/**
 * Float32 tensors of a graph that are kept beside it, in a file of their own. Their values are computed when the file is read, one
 * tensor at a time: the whole file is never held.
 */
export class WeightFile {
  /** What the graph calls it until its content, and so its name, is known. */
  readonly #key: string;
  readonly #weights: Weight[] = [];
  #sizeBytes = 0;

  constructor(key: string) {
    this.#key = key;
  }

  /** Adds a tensor to the file and to the graph. `values` gives the elements of `shape` in C order, the same at each call. */
  add(graph: GraphBuilder, name: string, shape: readonly number[], values: Weight['values']): GraphValue {
    const offsetBytes = Math.ceil(this.#sizeBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    const elements = shape.reduce((product, size) => product * size, 1);
    this.#weights.push({ offsetBytes, elements, values });
    this.#sizeBytes = offsetBytes + elements * Float32Array.BYTES_PER_ELEMENT;
    return graph.external(name, shape, {
      file: this.#key,
      offsetBytes,
      lengthBytes: elements * Float32Array.BYTES_PER_ELEMENT,
    });
  }

  /**
   * The file as it is published: its path is the hexadecimal digest, the name that blobs have, so that a graph names exactly the
   * weights it was made with and any flat folder of blobs is one that ONNX Runtime can load it from.
   */
  async describe(): Promise<ImportedFile> {
    const read = (): AsyncIterable<Uint8Array> => this.#read();
    const { ref, chunks } = await hashChunks(read());
    return { path: hexOf(ref.digest), ref, chunks, read };
  }

  /** For `GraphBuilder.build`, of files that were described. */
  location({ path }: ImportedFile): readonly [string, string] {
    return [this.#key, path];
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (const { offsetBytes, elements, values } of this.#weights) {
      if (offsetBytes > at) {
        yield new Uint8Array(offsetBytes - at);
      }
      const data = await values();
      if (data.length !== elements) {
        throw new Error(`file "${this.#key}": ${data.length} values at ${offsetBytes}, expected ${elements}`);
      }
      yield littleEndianFloats(data);
      at = offsetBytes + elements * Float32Array.BYTES_PER_ELEMENT;
    }
  }
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes of `values` as ONNX has them, without a copy where the machine has them so too. */
function littleEndianFloats(values: Float32Array): Uint8Array {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return IS_LITTLE_ENDIAN ? bytes : Buffer.from(bytes).swap32();
}
