import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GraphBuilder } from '../../../clients/import/onnx-graph.ts';
import { ModelProto } from '../../../proto/gen/onnx/onnx.ts';
import { runGraph } from '../../support/bundle-run.ts';

function scaled(properties: Readonly<Record<string, string>> = {}): Uint8Array {
  const graph = new GraphBuilder('scaled');
  const input = graph.input('x', 'float32', ['N', 2]);
  graph.node('Mul', [input, graph.constant('factor', [2], Float32Array.of(2, 3))], {}, 'y');
  graph.output('y', 'float32', ['N', 2]);
  return graph.build('test 1', properties);
}

describe('the graph builder', () => {
  it('writes a file that ONNX Runtime runs', async () => {
    const { y } = await runGraph(scaled(), 'x', Float32Array.of(1, 1, 5, 5), [2, 2]);
    assert.deepEqual([...(y?.data ?? [])], [2, 3, 10, 15]);
  });

  it('gives equal bytes for equal calls, whatever the order of the properties', () => {
    assert.deepEqual(scaled({ a: '1', b: '2' }), scaled({ b: '2', a: '1' }));
    assert.deepEqual(ModelProto.decode(scaled({ b: '2', a: '1' })).metadataProps, [
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ]);
  });

  it('names the places of constants outside the file', () => {
    const graph = new GraphBuilder('external');
    const place = { file: 'weights', offsetBytes: 64, lengthBytes: 8 };
    graph.node('Mul', [graph.input('x', 'float32', ['N', 2]), graph.external('factor', [2], place)], {}, 'y');
    graph.output('y', 'float32', ['N', 2]);
    assert.throws(() => graph.build('test 1', {}), /weights/);
    assert.throws(() => graph.external('factor', [2], place), /twice/);
    const [tensor] = ModelProto.decode(graph.build('test 1', {}, new Map([['weights', 'abc']]))).graph?.initializer ?? [];
    assert.equal(tensor?.dataLocation, 1);
    assert.deepEqual(tensor?.externalData, [
      { key: 'location', value: 'abc' },
      { key: 'offset', value: '64' },
      { key: 'length', value: '8' },
    ]);
    assert.equal(tensor.rawData.byteLength, 0);
  });

  it('makes shared constants once, splits, and leaves optional inputs out', async () => {
    const graph = new GraphBuilder('parts');
    const input = graph.input('x', 'float32', [3, 2]);
    const [first = '', second = ''] = graph.split(input, 0, [1, 2]);
    assert.equal(graph.integers(1, 2), graph.integers(1, 2));
    const high = graph.node('Clip', [second, '', graph.scalar(3)]);
    graph.node('Concat', [high, first, graph.node('Mul', [first, graph.scalar(3)])], { axis: { int: 0 } }, 'y');
    graph.output('y', 'float32', [4, 2]);
    const { y } = await runGraph(graph.build('test 1', {}), 'x', Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
    assert.deepEqual([...(y?.data ?? [])], [3, 3, 3, 3, 1, 2, 3, 6]);
  });

  const mistakes: readonly (readonly [string, (graph: GraphBuilder) => void])[] = [
    ['a constant that nothing reads', (graph) => graph.constant('dead', [1], Float32Array.of(1))],
    ['a node that nothing reads', (graph) => graph.node('Neg', ['x'])],
    ['a node that reads what is not there', (graph) => graph.output(graph.node('Neg', ['nowhere'], {}, 'z'), 'float32', ['N'])],
    ['an output that nothing makes', (graph) => graph.output('z', 'float32', ['N'])],
    ['a constant twice', (graph) => [1, 2].forEach(() => graph.constant('c', [1], Float32Array.of(1)))],
    ['a constant of another size', (graph) => graph.constant('c', [2, 2], Float32Array.of(1))],
  ];
  for (const [name, make] of mistakes) {
    it(`refuses ${name}`, () => {
      const graph = new GraphBuilder('wrong');
      graph.output(graph.node('Neg', [graph.input('x', 'float32', ['N'])], {}, 'y'), 'float32', ['N']);
      assert.throws(() => {
        make(graph);
        graph.build('test 1', {});
      });
    });
  }
});
