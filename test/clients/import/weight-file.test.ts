import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GraphBuilder } from '../../../clients/import/onnx-graph.ts';
import { WeightFile } from '../../../clients/import/weight-file.ts';
import { chunkCount } from '../../../proto/wire/chunks.ts';
import { hexOf, refOf } from '../../../proto/wire/digest.ts';
import { collect } from '../../support/bundle-files.ts';

describe('a file of weights', () => {
  it('has its tensors at multiples of 64 bytes, little-endian, zeros between them', async () => {
    const graph = new GraphBuilder('weights');
    const file = new WeightFile('w');
    file.add(graph, 'a', [2, 1], () => Float32Array.of(1, -2));
    file.add(graph, 'b', [], () => Float32Array.of(0.5));
    file.add(graph, 'c', [0], () => new Float32Array(0));
    const described = await file.describe();
    const bytes = await collect(described.read());
    assert.equal(bytes.byteLength, 128);
    assert.deepEqual([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.readFloatLE(64)], [1, -2, 0.5]);
    assert.ok(bytes.subarray(8, 64).every((byte) => byte === 0));
    assert.deepEqual(described.ref, refOf(bytes));
    assert.deepEqual([described.path, described.chunks.length], [hexOf(described.ref.digest), chunkCount(bytes.byteLength)]);
    assert.deepEqual(file.location(described), ['w', described.path]);
  });

  it('holds no more than one tensor while it is read', async () => {
    const graph = new GraphBuilder('weights');
    const file = new WeightFile('w');
    let made = 0;
    for (const name of ['a', 'b', 'c']) {
      file.add(graph, name, [16], () => {
        made += 1;
        return new Float32Array(16).fill(made);
      });
    }
    const seen: number[] = [];
    for await (const piece of (await file.describe()).read()) {
      seen.push(made, piece.byteLength);
    }
    assert.deepEqual(seen, [4, 64, 5, 64, 6, 64]);
  });

  it('refuses values of another number than the shape says', async () => {
    const file = new WeightFile('w');
    file.add(new GraphBuilder('weights'), 'a', [3], () => Float32Array.of(1));
    await assert.rejects(file.describe(), /1 values.*expected 3/);
  });
});
