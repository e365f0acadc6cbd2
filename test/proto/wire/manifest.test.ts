import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { type Digest, digestOf } from '../../../proto/wire/digest.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import {
  chunksByDigest,
  encodeManifest,
  MAX_ARTIFACTS,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  servingArtifacts,
} from '../../../proto/wire/manifest.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

describe('manifest', () => {
  it('lists a hundred violations of a document that is wrong in ever so many places', () => {
    const bytes = Buffer.from(JSON.stringify({ classes: Array.from({ length: 10_000 }, () => ({})) }));
    assert.throws(
      () => parseManifest(bytes),
      (error: unknown) => isServiceError(error, 'invalid-argument') && error.violations.length === 100,
    );
  });

  it('reads back what it wrote, to the byte', () => {
    const bytes = encodeManifest(valid());
    assert.deepEqual(parseManifest(bytes), valid());
    assert.equal(encodeManifest(parseManifest(bytes)).equals(bytes), true);
  });

  it('fills in what may be left out', () => {
    const { lineage: _, classes: __, ...rest } = valid();
    const manifest = parseManifest(Buffer.from(JSON.stringify(rest)));
    assert.deepEqual([manifest.lineage, manifest.classes], [{ sourceFiles: [], metrics: {} }, []]);
  });

  it('lists every violation with its field', () => {
    const broken = {
      ...valid(),
      schemaVersion: 2,
      kind: 'magic',
      classes: [{ index: 0, name: '' }],
      artifacts: [{ ...artifact('a.onnx'), role: 'other', sizeBytes: -1, digest: 'sha256:1' }],
    };
    assert.throws(
      () => parseManifest(json(broken)),
      hasViolationAt(
        'INVALID_MANIFEST',
        ...['schemaVersion', 'kind', 'classes.0.index', 'classes.0.name'].map((field) => `manifest_json.${field}`),
        ...['role', 'sizeBytes', 'digest'].map((field) => `manifest_json.artifacts.0.${field}`),
      ),
    );
  });

  it('takes as many chunks of one blob as S3 takes parts', () => {
    const [first] = valid().artifacts;
    const chunked = (count: number): Buffer => {
      const chunks = Array.from({ length: count }, () => digestOf(Buffer.from('chunk')));
      return json({ ...valid(), artifacts: [{ ...first, sizeBytes: count * CHUNK_BYTES, chunks }] });
    };
    assert.equal(parseManifest(chunked(10_000)).artifacts.length, 1);
    assert.throws(() => parseManifest(chunked(10_001)), hasViolationAt('INVALID_MANIFEST', 'manifest_json.artifacts.0.chunks'));
  });

  const hostile = [
    '',
    '/etc/passwd',
    '../a',
    'a/../b',
    'a/..',
    '..',
    '.',
    './a',
    'a//b',
    'a/',
    'a/./b',
    'a\\b',
    'C:\\a',
    'a\0b',
    'a\nb',
    'a\u0085b',
    'x'.repeat(256),
  ];
  for (const path of hostile) {
    it(`refuses the path ${JSON.stringify(path.slice(0, 20))}`, () => {
      assert.throws(
        () => parseManifest(json({ ...valid(), artifacts: [...valid().artifacts, artifact(path)] })),
        hasViolationAt('INVALID_MANIFEST', 'manifest_json.artifacts.2.path'),
      );
    });
  }

  for (const path of ['a', 'a/b.c', '..a', 'a..', '...', '.hidden', 'Ünï/code', 'with space']) {
    it(`accepts the path ${path}`, () => {
      assert.equal(
        parseManifest(json({ ...valid(), artifacts: [...valid().artifacts, artifact(path)] })).artifacts[2]?.path,
        path,
      );
    });
  }

  const edits: Readonly<Record<string, { readonly edit: (manifest: Manifest) => unknown; readonly fields: readonly string[] }>> =
    {
      'a path declared twice': {
        edit: (manifest) => ({ ...manifest, artifacts: [...manifest.artifacts, artifact('model.onnx')] }),
        fields: ['artifacts.2.path'],
      },
      'one digest with two sizes': {
        edit: (manifest) => ({
          ...manifest,
          artifacts: [...manifest.artifacts, { ...artifact('b', 6), digest: artifact('model.onnx').digest }],
        }),
        fields: ['artifacts.2'],
      },
      'too few chunks': {
        edit: (manifest) => ({
          ...manifest,
          artifacts: [...manifest.artifacts, { ...artifact('b'), sizeBytes: CHUNK_BYTES + 1 }],
        }),
        fields: ['artifacts.2.chunks'],
      },
      'too many chunks': {
        edit: (manifest) => ({ ...manifest, artifacts: [...manifest.artifacts, { ...artifact('b'), sizeBytes: 0 }] }),
        fields: ['artifacts.2.chunks'],
      },
      'a size that is no whole number': {
        edit: (manifest) => ({ ...manifest, artifacts: [...manifest.artifacts, { ...artifact('b'), sizeBytes: 0.5 }] }),
        fields: ['artifacts.2.sizeBytes'],
      },
      'a graph that is no artifact': {
        edit: (manifest) => ({ ...manifest, graph: { ...manifest.graph, path: 'other.onnx' } }),
        fields: ['graph.path'],
      },
      'a graph that inference would not fetch': {
        edit: (manifest) => ({ ...manifest, graph: { ...manifest.graph, path: 'source/model.pth' } }),
        fields: ['graph.path'],
      },
      'a key that is not known': { edit: (manifest) => ({ ...manifest, extra: 1 }), fields: [''] },
      'a key that is not known, deeper': {
        edit: (manifest) => ({ ...manifest, lineage: { ...manifest.lineage, author: 'x' } }),
        fields: ['lineage'],
      },
      'a class above 255': {
        edit: (manifest) => ({ ...manifest, classes: [{ index: 256, name: 'x' }] }),
        fields: ['classes.0.index'],
      },
      'a class declared twice': {
        edit: (manifest) => ({
          ...manifest,
          classes: [
            { index: 1, name: 'x' },
            { index: 1, name: 'y' },
          ],
        }),
        fields: ['classes.1.index'],
      },
      'classes in another order': {
        edit: (manifest) => ({
          ...manifest,
          classes: [
            { index: 2, name: 'x' },
            { index: 1, name: 'y' },
          ],
        }),
        fields: ['classes.1.index'],
      },
      'no artifact': { edit: (manifest) => ({ ...manifest, artifacts: [] }), fields: ['artifacts'] },
      'too many artifacts': {
        edit: (manifest) => ({
          ...manifest,
          artifacts: Array.from({ length: MAX_ARTIFACTS + 1 }, (_, index) => artifact(`a${index}`)),
        }),
        fields: ['artifacts'],
      },
    };
  for (const [name, { edit, fields }] of Object.entries(edits)) {
    it(`refuses ${name}`, () => {
      const paths = fields.map((field) => ['manifest_json', field].filter(Boolean).join('.'));
      assert.throws(() => parseManifest(json(edit(valid()))), hasViolationAt('INVALID_MANIFEST', ...paths));
    });
  }

  it('accepts the most artifacts there may be', () => {
    const artifacts = [artifact('model.onnx'), ...Array.from({ length: MAX_ARTIFACTS - 1 }, (_, index) => artifact(`a${index}`))];
    assert.equal(parseManifest(json({ ...valid(), artifacts })).artifacts.length, MAX_ARTIFACTS);
  });

  for (const [name, bytes] of Object.entries({
    'no JSON': Buffer.from('{'),
    'no UTF-8': Buffer.from([0x22, 0xff, 0x22]),
    'too many bytes': Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '),
  })) {
    it(`refuses ${name}`, () => assert.throws(() => parseManifest(bytes), hasViolationAt('INVALID_MANIFEST', 'manifest_json')));
  }

  it('refuses a document that is not an object', () => {
    for (const document of ['null', '[]', '"x"', '1']) {
      assert.throws(() => parseManifest(Buffer.from(document)), hasViolationAt('INVALID_MANIFEST', 'manifest_json'));
    }
  });

  it('tells serving artifacts from sources, and knows the chunks of a digest', () => {
    assert.deepEqual(
      servingArtifacts(valid()).map(({ path }) => path),
      ['model.onnx'],
    );
    const { digest, sizeBytes, chunks } = artifact('model.onnx');
    assert.deepEqual(chunksByDigest(valid()).get(digest), { digest, sizeBytes, chunks });
  });
});

function valid(): Manifest {
  return {
    schemaVersion: 1,
    kind: 'classification',
    family: 'GMM',
    contract: 'pixel-classifier.v1',
    graph: {
      path: 'model.onnx',
      inputs: [{ name: 'contrast', type: 'float32', shape: ['n', 3] }],
      outputs: [{ name: 'class', type: 'uint8', shape: ['n'] }],
    },
    classes: [{ index: 1, name: '1L' }],
    artifacts: [artifact('model.onnx'), { ...artifact('source/model.pth', 7), role: 'source' }],
    lineage: { doi: '10.5281/zenodo.1', sourceFiles: [], metrics: { accuracy: 0.9 } },
  };
}

function artifact(path: string, sizeBytes = 5): Manifest['artifacts'][number] {
  const digest: Digest = digestOf(Buffer.from(path));
  return { path, role: 'serving', mediaType: 'application/octet-stream', digest, sizeBytes, chunks: [digest] };
}

function json(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}
