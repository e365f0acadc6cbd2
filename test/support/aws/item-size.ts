import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/** Bytes of an item as DynamoDB counts them: names and values in UTF-8, numbers by their digits, three and one more for lists and maps. */
export function itemBytes(item: Readonly<Record<string, AttributeValue>>): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + valueBytes(value), 0);
}

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) {
    return Buffer.byteLength(value.S);
  }
  if (value.N !== undefined) {
    return Math.ceil(value.N.replace(/^-?0*\.?|\.|0*$/g, '').length / 2) + 1;
  }
  if (value.B !== undefined) {
    return value.B.byteLength;
  }
  if (value.BOOL !== undefined) {
    return 1;
  }
  if (value.L !== undefined) {
    return value.L.reduce((sum, element) => sum + 1 + valueBytes(element), 3);
  }
  return 3 + Object.keys(value.M ?? {}).length + itemBytes(value.M ?? {});
}
