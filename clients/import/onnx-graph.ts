import {
  ModelProto,
  type NodeProto,
  TensorProto,
  TensorProto_DataLocation,
  type ValueInfoProto,
} from '../../proto/gen/onnx/onnx.ts';
import {
  type Attributes,
  attribute,
  type ConstantData,
  type Dimension,
  ELEMENT_TYPES,
  type ElementType,
  elementTypeOf,
  littleEndian,
  valueInfo,
} from './onnx-values.ts';

/** Opset 20 with IR version 10: what ONNX Runtime 1.17 and later read. */
const OPSET_VERSION = 20n;
const IR_VERSION = 10n;

/** The name of a tensor inside one graph. */
export type GraphValue = string;

/** Where a float32 tensor lies that is kept outside the graph's file. */
export interface ExternalPlace {
  /** What `build` is told the location of. */
  readonly file: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * Collects one ONNX graph, node by node in the order of evaluation, and writes it. Names are given by the caller or counted,
 * constants are little-endian raw data, nothing depends on time or place: equal calls give equal bytes.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #nodes: NodeProto[] = [];
  readonly #constants = new Map<string, TensorProto>();
  readonly #places = new Map<string, ExternalPlace>();
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): GraphValue {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  /** A constant tensor; `data` holds the elements of `shape` in C order and decides the element type. */
  constant(name: string, shape: readonly number[], data: ConstantData): GraphValue {
    if (this.#constants.has(name)) {
      throw new Error(`constant "${name}" is added twice`);
    }
    if (shape.reduce((product, size) => product * size, 1) !== data.length) {
      throw new Error(`constant "${name}" of shape [${shape.join(', ')}] given ${data.length} elements`);
    }
    const dims = shape.map(BigInt);
    this.#constants.set(
      name,
      TensorProto.fromPartial({ name, dims, dataType: elementTypeOf(data), rawData: littleEndian(data) }),
    );
    return name;
  }

  /** A constant that several parts of a graph use: made once for the same name. */
  shared(name: string, shape: readonly number[], data: ConstantData): GraphValue {
    return this.#constants.has(name) ? name : this.constant(name, shape, data);
  }

  /** A one-dimensional int64 constant, such as a shape. */
  integers(...values: readonly number[]): GraphValue {
    return this.shared(`int_${values.join('_')}`, [values.length], BigInt64Array.from(values, BigInt));
  }

  /** A float32 scalar. */
  scalar(value: number): GraphValue {
    return this.shared(`float_${value}`, [], Float32Array.of(value));
  }

  /** A float32 constant that lies outside the graph's file. ONNX Runtime refuses shapes and sizes there: they are to be inline. */
  external(name: string, shape: readonly number[], place: ExternalPlace): GraphValue {
    if (this.#constants.has(name)) {
      throw new Error(`constant "${name}" is added twice`);
    }
    this.#constants.set(
      name,
      TensorProto.fromPartial({
        name,
        dims: shape.map(BigInt),
        dataType: ELEMENT_TYPES.float32,
        dataLocation: TensorProto_DataLocation.EXTERNAL,
      }),
    );
    this.#places.set(name, place);
    return name;
  }

  /** Adds a node with one output, named `output` or counted, and gives that output. */
  node(
    opType: string,
    inputs: readonly GraphValue[],
    attributes: Attributes = {},
    output = `${opType.toLowerCase()}_${this.#nodes.length}`,
  ): GraphValue {
    this.#add(opType, inputs, attributes, output, [output]);
    return output;
  }

  /** Cuts `value` along `axis` into pieces of these sizes. */
  split(value: GraphValue, axis: number, sizes: readonly number[]): GraphValue[] {
    const name = `split_${this.#nodes.length}`;
    const outputs = sizes.map((_, index) => `${name}_${index}`);
    this.#add('Split', [value, this.integers(...sizes)], { axis: { int: axis } }, name, outputs);
    return outputs;
  }

  #add(
    opType: string,
    inputs: readonly GraphValue[],
    attributes: Attributes,
    name: string,
    outputs: readonly GraphValue[],
  ): void {
    this.#nodes.push({
      input: [...inputs],
      output: [...outputs],
      name,
      opType,
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
      docString: '',
      domain: '',
    });
  }

  cast(value: GraphValue, to: ElementType, output?: string): GraphValue {
    return this.node('Cast', [value], { to: { int: ELEMENT_TYPES[to] } }, output);
  }

  output(name: string, type: ElementType, shape: readonly Dimension[]): void {
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /**
   * The model file. `properties` become metadata entries in the order of their keys.
   * @param locations where the files of external tensors lie, relative to the model's folder
   */
  build(
    producerVersion: string,
    properties: Readonly<Record<string, string>>,
    locations: ReadonlyMap<string, string> = new Map(),
  ): Uint8Array {
    this.#checkUse();
    const message = ModelProto.fromPartial({
      irVersion: IR_VERSION,
      producerName: 'maskterial-serving',
      producerVersion,
      opsetImport: [{ domain: '', version: OPSET_VERSION }],
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: [...this.#constants.values()].map((tensor) => this.#placed(tensor, locations)),
        input: this.#inputs,
        output: this.#outputs,
      },
      metadataProps: Object.keys(properties)
        .toSorted()
        .map((key) => ({ key, value: properties[key] ?? '' })),
    });
    return ModelProto.encode(message).finish();
  }

  #placed(tensor: TensorProto, locations: ReadonlyMap<string, string>): TensorProto {
    const place = this.#places.get(tensor.name);
    if (place === undefined) {
      return tensor;
    }
    const location = locations.get(place.file);
    if (location === undefined) {
      throw new Error(`constant "${tensor.name}" lies in file "${place.file}", whose location is not given`);
    }
    const externalData = [
      { key: 'location', value: location },
      { key: 'offset', value: String(place.offsetBytes) },
      { key: 'length', value: String(place.lengthBytes) },
    ];
    return { ...tensor, externalData };
  }

  /** A value that nothing reads, or that nothing makes, is a mistake of the importer. */
  #checkUse(): void {
    const made = new Set([...this.#inputs.map(({ name }) => name), ...this.#constants.keys()]);
    const read = new Set(this.#outputs.map(({ name }) => name));
    for (const { input, output, opType } of this.#nodes) {
      // An empty name leaves an optional input out.
      for (const name of input.filter((each) => each !== '')) {
        if (!made.has(name)) {
          throw new Error(`${opType} reads "${name}", which nothing before it makes`);
        }
        read.add(name);
      }
      for (const name of output) {
        made.add(name);
      }
    }
    const dead = [...made].filter((name) => !read.has(name));
    const unmade = this.#outputs.filter(({ name }) => !made.has(name)).map(({ name }) => name);
    if (dead.length > 0 || unmade.length > 0) {
      throw new Error(`graph "${this.#name}": never read: ${dead.join(', ')}; never made: ${unmade.join(', ')}`);
    }
  }
}
