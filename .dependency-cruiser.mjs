/**
 * The arrows of the design: decorators → service → core → seam ← backends.
 * Specs are not part of the package and may reach what they like.
 */
const spec = '\\.spec\\.ts$';
const seam = '^lib/backends/(lock-backend|backend-error)\\.ts$';
const clients =
  '^(ioredis|redis|pg|mysql2|zookeeper|node-zookeeper-client)(/|$)|node_modules/(ioredis|redis|pg|mysql2|zookeeper|node-zookeeper-client)/';
const clientBackends = '^lib/backends/(redis|redlock|postgres|mysql|zookeeper)/';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'A cycle hides which of its files is the foundation.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'only-peers',
      comment: 'The package has no dependencies of its own: what it imports is a peer or built in.',
      severity: 'error',
      from: { path: '^lib/', pathNot: spec },
      to: { path: 'node_modules', dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'lib-stands-alone',
      severity: 'error',
      from: { path: '^lib/', pathNot: spec },
      to: { path: '^(test|sample|bench|scripts)/' },
    },
    {
      name: 'no-spec-in-lib',
      severity: 'error',
      from: { path: '^lib/', pathNot: spec },
      to: { path: spec },
    },
    {
      name: 'core-knows-only-the-seam',
      comment: 'The core runs without Nest and without any client library.',
      severity: 'error',
      from: { path: '^lib/core/', pathNot: spec },
      to: { pathNot: ['^lib/core/', seam, 'node_modules/rxjs/'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'seam-is-types',
      severity: 'error',
      from: { path: seam },
      to: { pathNot: ['^lib/core/', seam], dependencyTypesNot: ['core'] },
    },
    {
      name: 'backends-know-only-the-seam',
      comment: 'A backend speaks to its server: no Nest, no service, no decorators.',
      severity: 'error',
      from: { path: '^lib/backends/', pathNot: spec },
      to: { path: ['node_modules/@nestjs/', '^lib/(?!core/|backends/)'] },
    },
    {
      name: 'backends-leave-the-machinery-alone',
      comment: 'Waiting, renewing and retrying belong to the core; a backend method is one server step.',
      severity: 'error',
      from: { path: '^lib/backends/', pathNot: spec },
      to: { path: '^lib/core/', pathNot: '^lib/core/(clock|duration|errors|fence-guard|key)\\.ts$' },
    },
    {
      name: 'backends-do-not-share',
      comment:
        'What two backends need lies beside the seam, and what databases have in common in sql. Redlock speaks to Redis and may use its client code.',
      severity: 'error',
      from: { path: '^lib/backends/([^/]+)/', pathNot: [spec, '^lib/backends/redlock/'] },
      to: { path: '^lib/backends/[^/]+/', pathNot: '^lib/backends/($1|sql)/' },
    },
    {
      name: 'decorators-are-on-top',
      severity: 'error',
      from: { path: '^lib/(core|backends)/|^lib/lock\\.service\\.ts$', pathNot: spec },
      to: { path: '^lib/decorators/' },
    },
    {
      name: 'root-reaches-no-client',
      comment: 'import "nestjs-interlock" must work with no client installed.',
      severity: 'error',
      from: { path: '^lib/index\\.ts$' },
      to: { path: [clients, clientBackends], reachable: true },
    },
    {
      name: 'optional-peers-stay-in-their-folders',
      comment:
        'Whoever does not import nestjs-interlock/terminus or /opentelemetry has no need of those packages.',
      severity: 'error',
      from: { path: '^lib/(?!terminus/|opentelemetry/)', pathNot: spec },
      to: { path: ['^lib/(terminus|opentelemetry)/', 'node_modules/(@nestjs/terminus|@opentelemetry)/'] },
    },
    {
      name: 'testing-reaches-no-client',
      comment: 'import "nestjs-interlock/testing" must work with no client installed.',
      severity: 'error',
      from: { path: '^lib/testing/index\\.ts$' },
      to: { path: [clients, clientBackends], reachable: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    parser: 'tsc',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
    },
  },
};
