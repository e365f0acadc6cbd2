import type { RequestCheck } from '../model/request-check.ts';

const DEFAULT_HEARTBEAT_SECONDS = 10;
const MAX_HEARTBEAT_SECONDS = 3600;

/** The time between two heartbeats of a watch; 0 means 10 s. */
export function checkHeartbeat(check: RequestCheck, heartbeatSeconds: number): number {
  if (heartbeatSeconds > MAX_HEARTBEAT_SECONDS) {
    check.violation('heartbeat_seconds', `${heartbeatSeconds}, at most ${MAX_HEARTBEAT_SECONDS}`);
  }
  return (heartbeatSeconds === 0 ? DEFAULT_HEARTBEAT_SECONDS : heartbeatSeconds) * 1000;
}
