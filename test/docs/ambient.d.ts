/** What snippets import that is no dependency of this repository. */
declare module '@nestjs/config' {
  export class ConfigModule {}
  export class ConfigService {
    getOrThrow<T>(name: string): T;
  }
}
