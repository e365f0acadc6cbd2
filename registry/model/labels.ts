import type { FieldViolation } from '../../proto/wire/errors.ts';

export type Labels = Readonly<Record<string, string>>;

/** Labels are for finding, not for documents: 64 of the longest ones are 75 KB of a version's record. */
export const MAX_LABELS = 64;
export const MAX_LABEL_VALUE_LENGTH = 255;
const KEY = /^[a-z0-9][a-z0-9._/-]{0,62}$/;

/** What is wrong with `labels`, each under its own field. */
export function labelViolations(labels: Labels, field: string): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) {
    // Nobody reads what else is wrong with a hundred thousand of them, and listing it would not fit an answer.
    return [{ field, description: `${entries.length} labels, at most ${MAX_LABELS}` }];
  }
  for (const [key, value] of entries) {
    if (!KEY.test(key)) {
      violations.push({
        field: `${field}.${key.slice(0, 80)}`,
        description: 'expected a key of the form [a-z0-9][a-z0-9._/-]{0,62}',
      });
    }
    if (value.length > MAX_LABEL_VALUE_LENGTH) {
      violations.push({
        field: `${field}.${key.slice(0, 80)}`,
        description: `a value of ${value.length} characters, at most ${MAX_LABEL_VALUE_LENGTH}`,
      });
    }
    if (value.includes('\0')) {
      violations.push({ field: `${field}.${key.slice(0, 80)}`, description: 'a value with the character U+0000' });
    }
  }
  return violations;
}

/** The labels as sorted pairs: equal labels give equal lists. */
export function sortedLabels(labels: Labels): [key: string, value: string][] {
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether `labels` hold all of `wanted`. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
