import Libsql from 'libsql';
import { translateSqliteError } from './sqlite-errors.ts';

export type Value = string | number | null;
export type Row = Readonly<Record<string, unknown>>;

/**
 * One connection: WAL, so that readers of other processes go on during a write; synchronous FULL, so that what was answered
 * survives a power failure. Calls block the thread, for well under a millisecond but for the disk's flush at a commit.
 */
export class SqliteDatabase {
  readonly #connection: Libsql.Database;
  readonly #statements = new Map<string, Libsql.Statement>();

  /** Waits `busyTimeoutMs` at most for another process's write. @throws ServiceError as `translateSqliteError` says. */
  constructor(path: string, settings: { readonly busyTimeoutMs: number }) {
    this.#connection = guarded(() => new Libsql(path, { timeout: settings.busyTimeoutMs }));
    try {
      this.execute('PRAGMA journal_mode = WAL');
      this.execute('PRAGMA synchronous = FULL');
      this.execute('PRAGMA foreign_keys = ON');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** All rows. Always read to the end: this package's `get` right after `all` on one statement answers with the old parameters. */
  rows(sql: string, ...parameters: Value[]): Row[] {
    return guarded(() => this.#prepare(sql).all(...parameters)) as Row[];
  }

  row(sql: string, ...parameters: Value[]): Row | undefined {
    return this.rows(sql, ...parameters)[0];
  }

  /** The number of rows changed. */
  run(sql: string, ...parameters: Value[]): number {
    return guarded(() => this.#prepare(sql).run(...parameters)).changes;
  }

  /** Statements without parameters. */
  execute(sql: string): void {
    guarded(() => this.#connection.exec(sql));
  }

  /** Runs `body` alone among all writers; what it throws undoes everything. */
  write<T>(body: () => T): T {
    return this.#transaction('BEGIN IMMEDIATE', body);
  }

  /** Runs `body` on one unchanging state of the database. */
  read<T>(body: () => T): T {
    return this.#transaction('BEGIN DEFERRED', body);
  }

  /** Idempotent. */
  close(): void {
    if (this.#connection.open) {
      this.#statements.clear();
      this.#connection.close();
    }
  }

  #transaction<T>(begin: string, body: () => T): T {
    this.execute(begin);
    try {
      const result = body();
      this.execute('COMMIT');
      return result;
    } catch (error) {
      // A full disk or a failed write may have rolled back already.
      if (this.#connection.inTransaction) {
        this.execute('ROLLBACK');
      }
      throw error;
    }
  }

  #prepare(sql: string): Libsql.Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) {
      return known;
    }
    const statement = this.#connection.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') {
    throw new Error(`column ${column} holds ${typeof value} where text was written`);
  }
  return value;
}

export function integerOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') {
    throw new Error(`column ${column} holds ${typeof value} where a number was written`);
  }
  return value;
}

function guarded<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw translateSqliteError(error);
  }
}
