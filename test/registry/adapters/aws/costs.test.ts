import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { measureCosts } from '../../../support/aws/costs.ts';
import { MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { repositoryRoot } from '../../../support/reference-data.ts';

it('costs what ARCHITECTURE.md says', async () => {
  const costs = await measureCosts(new MemoryDynamo().sender, 'catalog');
  const rows = costs.map(({ call, all: { computed }, s3 }) => [call, String(computed.reads), String(computed.writes), s3]);
  const text = readFileSync(join(repositoryRoot, 'ARCHITECTURE.md'), 'utf8');
  const table = /\n\| call on AWS .*\n\|[ |-]+\n((?:\|.*\n)+)/.exec(text)?.[1] ?? '';
  const written = table
    .trim()
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  assert.deepEqual(written, rows);
});
