import type { Alias } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { PublishOutcome } from './publish-one.ts';
import { formatBytes } from './registry-json.ts';
import { errorLine } from './report-error.ts';
import { formatCount } from './result-words.ts';
import { type Column, formatTable, printable } from './table.ts';

/** What came of one candidate. With an error beside the outcome, the version is there and its alias was not moved. */
export interface PublishRow {
  readonly path: string;
  readonly model?: string;
  readonly outcome?: PublishOutcome;
  readonly alias?: Alias;
  readonly error?: unknown;
  /** The registry failed, not the bundle: the others would fail too. */
  readonly endsSet: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: 'model' },
  { title: 'version', align: 'right' },
  { title: '' },
  { title: 'files', align: 'right' },
  { title: 'uploaded', align: 'right' },
  { title: 'there before', align: 'right' },
];

/** What came of publishing several bundles. */
export class PublishReport {
  readonly #total: number;
  readonly #rows: PublishRow[] = [];

  constructor(total: number) {
    this.#total = total;
  }

  add(row: PublishRow): void {
    this.#rows.push(row);
  }

  /** A line a bundle, and the sums. */
  table(): string {
    const rows = this.#rows.map(({ path, model, outcome }) =>
      outcome === undefined
        ? [model ?? printable(path), '-', 'failed', '', '', '']
        : [
            outcome.model,
            String(outcome.version.version),
            outcome.created ? 'new' : 'known',
            String(outcome.fileCount),
            formatBytes(outcome.uploadedBytes),
            formatBytes(outcome.heldBytes),
          ],
    );
    const { new: created, known, uploaded_files: files, uploaded_bytes: uploaded, held_bytes: held } = this.totals();
    const sums = `${created} new, ${known} known before; uploaded ${formatCount(files, 'file')}, ${formatBytes(uploaded)}`;
    return `${formatTable(COLUMNS, rows)}${sums}; there before ${formatBytes(held)}\n`;
  }

  /** One a line, with the reason; empty where all went well. */
  failures(): string {
    const failed = this.#rows.filter(({ error }) => error !== undefined);
    const lines = failed.map(({ path, error }) => `  ${printable(path)}: ${errorLine(error).replace(/^error: /, '')}`);
    const left = this.#total - this.#rows.length;
    return [
      ...(failed.length === 0 ? [] : [`${failed.length} of ${formatCount(this.#total, 'bundle')} failed:`, ...lines]),
      ...(left === 0 ? [] : [`${formatCount(left, 'bundle')} not tried`]),
    ]
      .map((line) => `${line}\n`)
      .join('');
  }

  /** The sums for scripts, the last line of `--json`. */
  totals(): Readonly<
    Record<'bundles' | 'new' | 'known' | 'failed' | 'not_tried' | 'uploaded_files' | 'uploaded_bytes' | 'held_bytes', number>
  > {
    const outcomes = this.#rows.flatMap(({ outcome }) => outcome ?? []);
    const sum = (value: (outcome: PublishOutcome) => number): number =>
      outcomes.reduce((total, outcome) => total + value(outcome), 0);
    return {
      bundles: this.#total,
      new: sum(({ created }) => (created ? 1 : 0)),
      known: sum(({ created }) => (created ? 0 : 1)),
      failed: this.#rows.filter(({ error }) => error !== undefined).length,
      not_tried: this.#total - this.#rows.length,
      uploaded_files: sum(({ uploadedFiles }) => uploadedFiles),
      uploaded_bytes: sum(({ uploadedBytes }) => uploadedBytes),
      held_bytes: sum(({ heldBytes }) => heldBytes),
    };
  }
}
