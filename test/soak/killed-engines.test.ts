import { test } from 'node:test';
import { killEngines } from '../support/engine-kills.ts';

test('engines killed 20 times in the middle of a run: each time exactly the request in that engine fails', () =>
  killEngines(20, 2));
