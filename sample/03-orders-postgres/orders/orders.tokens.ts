export const POOL = Symbol('the pool of the application');
export const REPLICA = Symbol('the name of this replica');
