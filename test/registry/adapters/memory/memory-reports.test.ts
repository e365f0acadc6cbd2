import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryReports } from '../../../../registry/adapters/memory/memory-reports.ts';
import { describeServerReports, liveReport } from '../../../contract/server-reports-contract.ts';
import { asModel } from '../../../support/made-version.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError, rejection } from '../../../support/service-errors.ts';

const isFull = isError('resource-exhausted', 'REPORTS_FULL');

describeServerReports('memory', async () => new MemoryReports());

test('holds no more servers than it may; a known one may always report, and one that is gone makes room', async () => {
  const reports = new MemoryReports({ maxServers: 2, maxCharacters: 1_000_000 });
  const first = liveReport('a', {});
  await reports.put(first, never);
  await reports.put(liveReport('b', { expireTimeMs: first.expireTimeMs + 1 }), never);
  await assert.rejects(reports.put(liveReport('c', {}), never), isFull);
  // Clients come back by then: the first report's time is up, and it has made room.
  const { reportTimeMs, expireTimeMs } = first;
  const late = await rejection(reports.put(liveReport('c', { reportTimeMs: reportTimeMs + 1000 }), never));
  assert.equal(late.retryDelayMs, expireTimeMs - reportTimeMs - 1000);
  await reports.put({ ...first, sequence: 2 }, never);
  await reports.remove('server-b', never);
  await reports.put(liveReport('c', {}), never);
  await reports.put(liveReport('d', { reportTimeMs: first.expireTimeMs, expireTimeMs: first.expireTimeMs + 1 }), never);
});

test('holds no more characters than it may; a report that does not fit leaves the one before', async () => {
  const named = (id: string, length: number, sequence = 1) => {
    const report = liveReport(id, { sequence, aliases: [] });
    return { ...report, server: { ...report.server, name: 'n'.repeat(length) } };
  };
  const reports = new MemoryReports({ maxServers: 10, maxCharacters: 5000 });
  await reports.put(named('a', 4000), never);
  await assert.rejects(reports.put(named('a', 5000, 2), never), isFull);
  const alone = await rejection(new MemoryReports({ maxServers: 1, maxCharacters: 10 }).put(named('a', 10), never));
  assert.ok(isFull(alone) && (alone.retryDelayMs ?? 0) > 0);
  const [kept] = await reports.list(asModel('M'), 0, never);
  assert.equal(kept?.server.name.length, 4000);
  await assert.rejects(reports.put(named('b', 1000), never), isFull);
  // What is replaced or gone no longer counts.
  await reports.put(named('a', 100, 3), never);
  await reports.put(named('b', 4000), never);
  await reports.remove('server-b', never);
  await reports.put(named('c', 4000), never);
});
