import { NetworkError } from "../core/errors.ts";

const failed = "the TLS handshake failed";
const noTls = "it does not speak TLS: write http:// in --rootURL if that is meant to be so";
const noPem = "a file that was named as a certificate or key holds none in PEM form";

/** What OpenSSL's and Node's codes mean for whoever asks, and the way out. */
const reasons: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT:
    "its certificate is signed by itself: name it, or the authority behind it, as CACert",
  SELF_SIGNED_CERT_IN_CHAIN:
    "its certificate comes from an authority that is not trusted here: name that one's certificate as CACert",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its certificate comes from an authority that is not trusted here: name that one's certificate as CACert",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "its certificate comes from an authority that is not trusted here: name that one's certificate as CACert",
  UNABLE_TO_GET_ISSUER_CERT:
    "a certificate between its own and CACert is missing: give the server the whole chain",
  CERT_HAS_EXPIRED: "its certificate has expired: renew it, and check the clocks of both machines",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: check the clocks of both machines",
  CERT_SIGNATURE_FAILURE: "its certificate is not signed by CACert: name the authority that signed it",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "its certificate is for other names: use one of these in --rootURL, name one as TLSServerName, or give the server a certificate with this one",
  EPROTO: failed,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    "it asks for a client certificate: name one with ClientCert and ClientKey, or use a token",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE:
    "it does not accept our client certificate: use one from the authority that it trusts",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    "it does not accept our client certificate: use one from the authority that it trusts",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "our client certificate has expired: renew it",
  ERR_OSSL_X509_KEY_VALUES_MISMATCH:
    "ClientKey is not the key of ClientCert: name the pair that belongs together",
  ERR_OSSL_PEM_NO_START_LINE: noPem,
  ERR_OSSL_UNSUPPORTED: noPem,
};

/** The error for a TLS handshake that failed, in words; undefined when the failure is none of TLS. Trying again does not help. */
export function distrusted(place: string, cause: unknown): NetworkError | undefined {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const reason = reasonOf(code, message);
  if (reason === undefined) {
    return undefined;
  }
  return new NetworkError(
    "invalid",
    "SERVER_UNTRUSTED",
    `no safe connection to ${place}: ${reason} (${code}${reason === failed ? `: ${message}` : ""})`,
    { place, reason: code },
    cause,
  );
}

function reasonOf(code: string, message: string): string | undefined {
  if (/wrong version number|packet length too long/.test(message)) {
    return noTls;
  }
  if (Object.hasOwn(reasons, code)) {
    return reasons[code];
  }
  return /^ERR_(SSL|OSSL|TLS)_/.test(code) ? failed : undefined;
}
