import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filesStayShort, namesSaySomething, oneFileReadsTheEnvironment } from './support/architecture/file-rules.ts';
import {
  adaptersStandAlone,
  coresStayPure,
  noCycles,
  packagesStayInPlace,
  partsKeepApart,
  type Rule,
} from './support/architecture/import-rules.ts';
import { importsOf, readSources, type Source } from './support/architecture/source.ts';
import { repositoryRoot } from './support/reference-data.ts';

const sources = readSources(repositoryRoot);

/** A rule with small trees that break it and trees that keep it: the proof that it can fail. */
interface Case {
  readonly rule: Rule;
  readonly broken: readonly Tree[];
  readonly kept: readonly Tree[];
}

type Tree = Readonly<Record<string, string>>;

const CASES: Readonly<Record<string, Case>> = {
  'the cores import no wire, store, engine or adapter': {
    rule: coresStayPure,
    broken: [
      { 'registry/model/a.ts': `import { status } from '@grpc/grpc-js';` },
      { 'registry/release/a.ts': `import type { S3Client } from '@aws-sdk/client-s3';` },
      { 'inference/predict/a.ts': `import * as ort from 'onnxruntime-node';` },
      { 'inference/rollout/a.ts': `const { default: sharp } = await import('sharp');` },
      { 'inference/cache/a.ts': `export { pino } from 'pino';` },
      { 'inference/cache/a.ts': `import { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';` },
      { 'clients/import/a.ts': `import { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';` },
      { 'registry/release/a.ts': `import { B } from '../adapters/embedded/b.ts';` },
      { 'registry/release/a.ts': `import { convert } from '../rpc/convert.ts';` },
      { 'inference/rollout/a.ts': `import { start } from '../main.ts';` },
      { 'inference/predict/a.ts': `import { b } from '../b.ts';`, 'inference/b.ts': `import sharp from 'sharp';` },
    ],
    kept: [
      { 'clients/import/a.ts': `import { ModelProto } from '../../proto/gen/onnx/onnx.ts';` },
      { 'registry/model/a.ts': `import { createHash } from 'node:crypto';\nimport * as z from 'zod';` },
      { 'registry/rpc/a.ts': `import { status } from '@grpc/grpc-js';` },
    ],
  },
  'no adapter imports another': {
    rule: adaptersStandAlone,
    broken: [
      { 'registry/adapters/aws/a.ts': `import { b } from '../embedded/b.ts';` },
      { 'inference/adapters/s3-source.ts': `import type { F } from './file-source.ts';` },
    ],
    kept: [{ 'registry/adapters/aws/a.ts': `import { b } from './b.ts';\nimport type { C } from '../../release/catalog.ts';` }],
  },
  'each part of the tree imports only what it may': {
    rule: partsKeepApart,
    broken: [
      { 'registry/a.ts': `import { b } from '../inference/b.ts';` },
      { 'inference/a.ts': `import type { B } from '../registry/b.ts';` },
      { 'inference/adapters/a.ts': `import { b } from '../../clients/registry-client.ts';` },
      { 'clients/registry-client.ts': `import { b } from '../registry/b.ts';` },
      { 'clients/import/a.ts': `export * from '../../inference/predict/half.ts';` },
      { 'proto/wire/a.ts': `import { b } from '../../infra/process/log.ts';` },
      { 'infra/process/a.ts': `import { b } from '../../registry/b.ts';` },
      { 'registry/a.ts': `import { b } from '../test/support/b.ts';` },
      { 'registry/a.ts': `import { b } from '../infra/aws/b.ts';` },
      { 'infra/local/a.ts': `import { b } from '../aws/b.ts';` },
      { 'infra/aws/a.ts': `import { b } from '../../registry/adapters/aws/create-table.ts';` },
    ],
    kept: [
      { 'infra/aws/a.ts': `import { b } from './b.ts';\nimport { c } from '../../registry/adapters/aws/table-definition.ts';` },
      { 'clients/cli/serve.ts': `import { b } from '../../registry/main.ts';` },
      { 'clients/import/a.ts': `import { b } from '../b.ts';\nimport { c } from '../../proto/wire/digest.ts';` },
      { 'test/registry/a.test.ts': `import { b } from '../../inference/b.ts';` },
    ],
  },
  'a package is imported only in its place': {
    rule: packagesStayInPlace,
    broken: [
      { 'inference/rpc/a.ts': `import * as ort from 'onnxruntime-node';` },
      {
        'inference/engine/a.ts': `import * as ort from 'onnxruntime-node';`,
        'inference/engine/b.ts': `import type { X } from 'onnxruntime-node';`,
      },
      { 'clients/cli/predict.ts': `import sharp from 'sharp';` },
      { 'inference/engine/a.ts': `import sharp from 'sharp';`, 'inference/engine/b.ts': `import sharp from 'sharp';` },
      { 'registry/rpc/a.ts': `import Database from 'libsql';` },
      { 'registry/rpc/a.ts': `import Database from 'libsql/promise';` },
      { 'registry/main.ts': `import { S3Client } from '@aws-sdk/client-s3';` },
      { 'clients/cli/a.ts': `import { S3Client } from '@aws-sdk/client-s3';` },
      { 'registry/main.ts': `import { pino } from 'pino';` },
      { 'registry/adapters/aws/a.ts': `import { Table } from 'aws-cdk-lib/aws-dynamodb';` },
      { 'infra/local/a.ts': `import type { Construct } from 'constructs';` },
      { 'infra/aws/a.ts': `import { S3Client } from '@aws-sdk/client-s3';` },
    ],
    kept: [
      { 'infra/aws/a.ts': `import { Bucket } from 'aws-cdk-lib/aws-s3';\nimport type { Construct } from 'constructs';` },
      {
        'inference/engine/a.ts': `import sharp from 'sharp';`,
        'clients/cli/overlay.ts': `import sharp from 'sharp';`,
        'clients/demo/a.ts': `import sharp from 'sharp';`,
        'test/a.test.ts': `import sharp from 'sharp';\nimport * as ort from 'onnxruntime-node';`,
      },
    ],
  },
  'there is no import cycle': {
    rule: noCycles,
    broken: [
      {
        'registry/a.ts': `import { b } from './b.ts';`,
        'registry/b.ts': `import { c } from './c.ts';`,
        'registry/c.ts': `export { a } from './a.ts';`,
      },
      { 'registry/a.ts': `import type { B } from './b.ts';`, 'registry/b.ts': `import type { A } from './a.ts';` },
      { 'registry/a.ts': `import { a } from './a.ts';` },
    ],
    kept: [{ 'registry/a.ts': `import './b.ts';\nimport './c.ts';`, 'registry/b.ts': `import './c.ts';`, 'registry/c.ts': '' }],
  },
  'one file reads the environment': {
    rule: oneFileReadsTheEnvironment,
    broken: [
      { 'registry/config.ts': `const port = process.env['PORT'];` },
      { 'registry/config.ts': `const port = process['env'].PORT;` },
      { 'registry/config.ts': `import { env } from 'node:process';` },
      { 'registry/config.ts': `const { env } = process;` },
    ],
    kept: [
      {
        'infra/process/env.ts': 'return process.env;',
        'registry/config.ts': '// never process.env\nconst envelope = processEnvironment();',
      },
    ],
  },
  'files and folders are named in kebab-case, for what they do': {
    rule: namesSaySomething,
    broken: [
      { 'registry/BlobStore.ts': '' },
      { 'registry/blob_store.ts': '' },
      { 'registry/utils.ts': '' },
      { 'test/helpers/a.test.ts': '' },
    ],
    kept: [{ 'registry/blob-store.ts': '', 'test/registry/blob-store.test.ts': '', 'proto/gen/google/rpc/error_details.ts': '' }],
  },
  'no file is longer than 400 lines': {
    rule: filesStayShort,
    broken: [{ 'registry/a.ts': 'x;\n'.repeat(401) }],
    kept: [{ 'registry/a.ts': 'x;\n'.repeat(400), 'proto/gen/a.ts': 'x;\n'.repeat(5000) }],
  },
};

describe('architecture', () => {
  for (const [name, { rule, broken, kept }] of Object.entries(CASES)) {
    it(name, () => assert.deepEqual(rule(sources), []));

    it(`${name}: the rule can fail`, () => {
      for (const tree of broken) {
        assert.equal(rule(sourcesOf(tree)).length > 0, true, `not found in ${JSON.stringify(tree)}`);
      }
      for (const tree of kept) {
        assert.deepEqual(rule(sourcesOf(tree)), []);
      }
    });
  }

  it('finds every form of import', () => {
    const text = [
      `import a from 'a';`,
      `import * as b from "b";`,
      `import type { C } from '@scope/c/deep';`,
      `import {\n  d,\n  type D,\n} from './d.ts';`,
      `import 'e';`,
      `export * from '../f.ts';`,
      `export { g as default } from 'g';`,
      `const h = await import('h');`,
      `const i = require('i');`,
      `export const text = "no import from 'x'";`,
      `// import z from 'z';`,
    ].join('\n');
    const found = importsOf({ path: 'registry/model/a.ts', text }).map((one) => (one.kind === 'source' ? one.path : one.name));
    assert.deepEqual(found.toSorted(), ['@scope/c', 'a', 'b', 'e', 'g', 'h', 'i', 'registry/f.ts', 'registry/model/d.ts']);
  });

  it('reads the real tree', () => {
    const paths = new Set(sources.map(({ path }) => path));
    assert.equal(paths.has('proto/wire/errors.ts') && paths.has('proto/gen/onnx/onnx.ts'), true);
    const unresolved = sources.flatMap((source) =>
      importsOf(source).flatMap((one) => (one.kind === 'source' && !paths.has(one.path) ? [`${source.path}: ${one.path}`] : [])),
    );
    assert.deepEqual(unresolved, []);
  });
});

function sourcesOf(tree: Tree): Source[] {
  return Object.entries(tree).map(([path, text]) => ({ path, text }));
}
