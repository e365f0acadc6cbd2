// A reporter for Node's test runner: JSON lines about what began, what ended and how, for test/run.mjs to count.
import { inspect } from 'node:util';

/** Only leaves are counted: a suite, or a test with subtests, counts where it fails by itself. */
export default async function* report(source) {
  const names = [];
  let depth = 0;
  for await (const { type, data } of source) {
    if (type === 'test:dequeue') {
      yield line({ outcome: 'started', id: idOf(data), name: data.name });
    } else if (type === 'test:start') {
      names[data.nesting] = data.name;
    } else if (type === 'test:pass' || type === 'test:fail') {
      const isParent = data.details.type === 'suite' || depth > data.nesting;
      depth = data.nesting;
      names[depth] = data.name;
      const name = names.slice(0, depth + 1).join(' > ');
      yield line({ outcome: outcomeOf(type, data, isParent), id: idOf(data), name, detail: detailOf(type, data) });
    } else if (
      type === 'test:diagnostic' &&
      !/^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(data.message)
    ) {
      yield line({ outcome: 'note', detail: data.message });
    }
  }
}

function idOf({ line: row, column, name }) {
  return `${row}:${column} ${name}`;
}

function outcomeOf(type, { skip, todo, details }, isParent) {
  if (type === 'test:fail' && todo === undefined) {
    return isParent && details.error?.failureType === 'subtestsFailed' ? 'parent' : 'failed';
  }
  if (skip !== undefined || todo !== undefined) {
    return 'skipped';
  }
  return isParent ? 'parent' : 'passed';
}

function detailOf(type, { skip, todo, details }) {
  if (skip !== undefined || todo !== undefined) {
    return [skip, todo].filter((reason) => typeof reason === 'string').join('; ');
  }
  return type === 'test:fail' ? inspect(details.error?.cause ?? details.error, { colors: false }) : '';
}

function line(event) {
  return `${JSON.stringify(event)}\n`;
}
