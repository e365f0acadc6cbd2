import { test } from 'node:test';
import { killEngines } from '../support/engine-kills.ts';

test('engines killed twice in the middle of a run: each time exactly the request in that engine fails', () => killEngines(2, 1));
