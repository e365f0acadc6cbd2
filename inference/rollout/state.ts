/** Where a version stands on this server. */
export type VersionState = 'wanted' | 'fetching' | 'fetched' | 'loading' | 'ready' | 'draining' | 'failed';

export type VersionEvent =
  | 'fetch-begun'
  | 'fetch-done'
  | 'load-begun'
  | 'load-done'
  | 'load-undone'
  | 'failed'
  | 'retried'
  | 'retired'
  | 'wanted-again';

/**
 * The full table; null is an event that cannot happen in a state.
 * `load-undone`: the load was given up through no fault of this version. `retired`: a swap left it out and its last requests drain.
 */
const TABLE: Readonly<Record<VersionState, Readonly<Record<VersionEvent, VersionState | null>>>> = {
  wanted: row({ 'fetch-begun': 'fetching' }),
  fetching: row({ 'fetch-done': 'fetched', failed: 'failed' }),
  fetched: row({ 'load-begun': 'loading' }),
  loading: row({ 'load-done': 'ready', 'load-undone': 'fetched', failed: 'failed' }),
  ready: row({ 'load-begun': 'ready', 'load-done': 'ready', 'load-undone': 'ready', retired: 'draining' }),
  draining: row({ 'wanted-again': 'fetched' }),
  failed: row({ retried: 'wanted' }),
};

function row(possible: Partial<Record<VersionEvent, VersionState>>): Record<VersionEvent, VersionState | null> {
  return {
    'fetch-begun': null,
    'fetch-done': null,
    'load-begun': null,
    'load-done': null,
    'load-undone': null,
    failed: null,
    retried: null,
    retired: null,
    'wanted-again': null,
    ...possible,
  };
}

/** @throws Error on an event that cannot happen in `state`: a defect of the loop, never of its input. */
export function nextState(state: VersionState, event: VersionEvent): VersionState {
  const next = TABLE[state][event];
  if (next === null) {
    throw new Error(`version state ${state} cannot take event ${event}`);
  }
  return next;
}
