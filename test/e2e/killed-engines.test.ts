import { test } from 'node:test';
import { killEngines } from '../support/engine-kills.ts';
import { SeededRandom } from '../support/soak/seeded-random.ts';

test('engines killed twice in the middle of a run: each time exactly the request in that engine fails', async () => {
  await killEngines(2, new SeededRandom(1, 'killed engines'));
});
