/**
 * The catalog's table, as `maskterial setup` creates it and a stack describes it: one table with two text keys and no index,
 * paid by request, recoverable to any second of the last 35 days, not to be deleted by mistake.
 */
export const TABLE_DEFINITION = {
  partitionKey: 'pk',
  sortKey: 'sk',
  billingMode: 'PAY_PER_REQUEST',
  hasPointInTimeRecovery: true,
  hasDeletionProtection: true,
} as const;
