import type { Template } from 'aws-cdk-lib/assertions';

/** A statement of a policy, with lists for what may be one or many, and names of the template's resources as `${Name.Arn}`. */
export interface Statement {
  readonly effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly condition: unknown;
}

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
type Properties = Readonly<Record<string, Json>>;

/** What the roles whose names in the tree begin so may do, by all policies that are attached to them. */
export function statementsOf(template: Template, role: string): Statement[] {
  return resources(template, 'AWS::IAM::Policy')
    .filter(({ Roles }) => list(Roles).some((ref) => textOf(ref).startsWith(`\${${role}`)))
    .flatMap(readDocument);
}

/** The statements of every policy in the template. */
export function allStatements(template: Template, type: 'AWS::IAM::Policy' | 'AWS::S3::BucketPolicy'): Statement[] {
  return resources(template, type).flatMap(readDocument);
}

/** What is too wide: a wildcard in an action, or in a resource anywhere but for what lies in a folder. */
export function tooWide(statements: readonly Statement[]): string[] {
  return statements
    .filter(({ effect }) => effect !== 'Deny')
    .flatMap(({ actions, resources: where }) => [
      ...actions.filter((action) => /[*?]/.test(action)),
      ...where.filter((resource) => /[*?]/.test(resource.replace(/\/(?:aside|blobs|partials)\/\*$/, ''))),
    ]);
}

function resources(template: Template, type: string): Properties[] {
  return Object.values(template.findResources(type)).map((resource) => resource['Properties'] as Properties);
}

function readDocument({ PolicyDocument }: Properties): Statement[] {
  const { Statement: statements } = PolicyDocument as { Statement: readonly Properties[] };
  return statements.map(({ Effect, Action, Resource, Condition }) => ({
    effect: textOf(Effect),
    actions: list(Action).map(textOf).toSorted(),
    resources: list(Resource).map(textOf).toSorted(),
    condition: Condition,
  }));
}

function list(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [value ?? ''];
}

/** A value of a template as text. */
function textOf(value: Json | undefined): string {
  if (typeof value === 'string') {
    return value;
  }
  const call = value as { Ref?: string; 'Fn::GetAtt'?: readonly string[]; 'Fn::Join'?: readonly [string, readonly Json[]] };
  if (call.Ref !== undefined) {
    return `\${${call.Ref}}`;
  }
  if (call['Fn::GetAtt'] !== undefined) {
    return `\${${call['Fn::GetAtt'].join('.')}}`;
  }
  if (call['Fn::Join'] !== undefined) {
    const [separator, parts] = call['Fn::Join'];
    return parts.map(textOf).join(separator);
  }
  throw new Error(`not a text: ${JSON.stringify(value)}`);
}
