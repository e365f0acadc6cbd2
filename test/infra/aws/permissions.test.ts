import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import {
  INFERENCE_OBJECT_ACTIONS,
  REGISTRY_BUCKET_ACTIONS,
  REGISTRY_OBJECT_ACTIONS,
  REGISTRY_TABLE_ACTIONS,
} from '../../../infra/aws/permissions.ts';
import { REQUEST_ACTIONS } from '../../../registry/adapters/aws/request-actions.ts';
import { repositoryRoot } from '../../support/reference-data.ts';

const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  ...REQUEST_ACTIONS,
  // What its writes need, and no more.
  TransactWriteItems: [],
  'transaction ConditionCheck': ['dynamodb:ConditionCheckItem'],
  'transaction Delete': ['dynamodb:DeleteItem'],
  'transaction Put': ['dynamodb:PutItem'],
  'transaction Update': ['dynamodb:UpdateItem'],
};

/** What only `maskterial setup` sends, for the operator. */
const SETUP_FILES = new Set(['create-table.ts', 'set-up.ts']);

it('the registry may do what its requests need, and no more', () => {
  const folder = join(repositoryRoot, 'registry', 'adapters', 'aws');
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !SETUP_FILES.has(name));
  const granted = [...REGISTRY_TABLE_ACTIONS, ...REGISTRY_BUCKET_ACTIONS, ...REGISTRY_OBJECT_ACTIONS];
  assert.deepEqual(neededBy(files.map((name) => join(folder, name))), granted.toSorted());
});

it('inference may do what its requests need, of one object version, and no more', () => {
  const needed = neededBy([join(repositoryRoot, 'inference', 'adapters', 's3-source.ts')]);
  assert.deepEqual(INFERENCE_OBJECT_ACTIONS, needed);
});

/** The actions behind the requests that the files make. */
function neededBy(paths: readonly string[]): string[] {
  const requests = paths.flatMap((path) => {
    const text = readFileSync(path, 'utf8');
    return [
      ...[...text.matchAll(/new (\w+)Command\(/g)].map(([, name = '']) => name),
      ...[...text.matchAll(/\b(ConditionCheck|Delete|Put|Update): \{\s*TableName\b/g)].map(
        ([, name = '']) => `transaction ${name}`,
      ),
    ];
  });
  const unknown = requests.filter((name) => ACTIONS[name] === undefined);
  assert.deepEqual(unknown, [], 'requests whose permissions are not written here');
  return [...new Set(requests.flatMap((name) => ACTIONS[name] ?? []))].toSorted();
}
