import { CSV_HEADER, csvRows } from './csv.ts';
import type { FilteredAnswer } from './flake-filter.ts';
import { errorJson } from './report-error.ts';
import { resultJson } from './result-json.ts';
import { resultTable } from './result-table.ts';
import type { TextOutput } from './text-output.ts';

export type ResultFormat = 'table' | 'csv' | 'json';

/** Writes results in the order of the images. Text that was written stays valid when the run stops half-way. */
export interface ResultWriter {
  begin(): Promise<void>;
  /** `index` is the image's place among all of the run, from 0. */
  image(index: number, path: string, answer: FilteredAnswer): Promise<void>;
  /** Only JSON says failures in its output; the report at the end lists them for people. */
  failure(path: string, error: unknown): Promise<void>;
  /** To be called last, whatever happened; `isWhole` when every image came to its end. */
  end(isWhole: boolean): Promise<void>;
}

export function createResultWriter(format: ResultFormat, out: TextOutput): ResultWriter {
  const nothing = async (): Promise<void> => undefined;
  const writer = { begin: nothing, failure: nothing, end: nothing };
  switch (format) {
    case 'table':
      return { ...writer, image: (_, path, answer) => out.write(resultTable(path, answer)) };
    case 'csv':
      return {
        ...writer,
        begin: () => out.write(CSV_HEADER),
        image: (_, path, answer) => out.write(csvRows(path, answer)),
      };
    case 'json':
      return {
        ...writer,
        image: (_, path, answer) => out.write(`${JSON.stringify(jsonOf(path, answer))}\n`),
        failure: (path, error) => out.write(`${JSON.stringify({ image: path, error: errorJson(error) })}\n`),
      };
  }
}

/** Several at once. A failure of one is one of all. */
export function writeToAll(writers: readonly ResultWriter[]): ResultWriter {
  const each = async (work: (writer: ResultWriter) => Promise<void>): Promise<void> => {
    for (const writer of writers) {
      await work(writer);
    }
  };
  return {
    begin: () => each((writer) => writer.begin()),
    image: (index, path, answer) => each((writer) => writer.image(index, path, answer)),
    failure: (path, error) => each((writer) => writer.failure(path, error)),
    end: (isWhole) => each((writer) => writer.end(isWhole)),
  };
}

/** A list that is not all of what was found says so. */
function jsonOf(path: string, { leftOutCount, ...answer }: FilteredAnswer): Record<string, unknown> {
  return { ...resultJson(path, answer), ...(leftOutCount === undefined ? {} : { flakes_left_out: leftOutCount }) };
}
