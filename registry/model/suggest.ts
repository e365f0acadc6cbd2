/** How many names an error suggests at most. */
const MAX_SUGGESTIONS = 3;

/**
 * The candidates that `name` may have been meant as, nearest first: those that differ in letter case only or by a third of
 * their letters at most (Levenshtein distance, case ignored), or that continue it.
 */
export function nearestNames(name: string, candidates: Iterable<string>): string[] {
  const wanted = name.toLowerCase();
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of candidates) {
    const other = candidate.toLowerCase();
    const limit = Math.max(2, Math.floor(Math.max(wanted.length, other.length) / 3));
    const distance = wanted.length > 2 && other.startsWith(wanted) ? 1 : levenshtein(wanted, other, limit);
    if (distance <= limit) {
      near.push({ candidate, distance });
    }
  }
  near.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return near.slice(0, MAX_SUGGESTIONS).map(({ candidate }) => candidate);
}

/** A sentence to append to an error, or nothing. */
export function suggestion(names: readonly string[]): string {
  return names.length === 0 ? '' : `; did you mean ${names.map((name) => `"${name}"`).join(' or ')}?`;
}

/** Insertions, deletions and substitutions between two words; anything beyond `limit` counts as `limit + 1`. */
export function levenshtein(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) {
    return limit + 1;
  }
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return Math.min(previous[b.length] ?? 0, limit + 1);
}
