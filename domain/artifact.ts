/** A package in S3. Its key is its content's hash, so the same bytes are stored once and never change. */
export interface Artifact {
  bucket: string;
  key: string;
  /** SHA-256 in base64, as Lambda's `CodeSha256` gives it. */
  codeSha256: string;
  bytes: number;
}
