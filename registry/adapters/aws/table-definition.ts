/**
 * The catalog's table, as `maskterial setup` creates it and a stack describes it: one table with two text keys and no index,
 * paid by request, recoverable to any second of the last 35 days, not to be deleted by mistake. Live state carries the second in
 * which it ends; DynamoDB removes it some time after that, for nothing.
 */
export const TABLE_DEFINITION = {
  partitionKey: 'pk',
  sortKey: 'sk',
  timeToLive: 'expires',
  billingMode: 'PAY_PER_REQUEST',
  hasPointInTimeRecovery: true,
  hasDeletionProtection: true,
} as const;
