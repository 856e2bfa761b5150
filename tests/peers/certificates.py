"""Makes certificates, good and rogue, for tests: certificates.py FOLDER URI HOST

  ca.der ca.crl            an authority, and what it revoked: revoked.der
  between.der between.crl  an authority below it
  old_ca.der               an authority that is out of date
  NAME.der NAME.pem        an application's certificate and key, for every NAME below
"""

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.timezone.utc)
folder, uri, host = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
APPLICATION = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]


class Identity:
    def __init__(self, name, issuer=None, is_ca=False, days=(-1, 365), uri=uri, host=host,
                 signs=True, uses=APPLICATION):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        authority = issuer.certificate.subject if issuer else subject
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(authority)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(NOW + days[0] * DAY).not_valid_after(NOW + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                signer.key.public_key()), False)
            .add_extension(x509.KeyUsage(
                digital_signature=signs, content_commitment=signs, key_encipherment=not is_ca,
                data_encipherment=not is_ca, key_agreement=False, key_cert_sign=is_ca,
                crl_sign=is_ca, encipher_only=False, decipher_only=False), critical=True))
        if not is_ca:
            address = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else (
                x509.DNSName(host))
            names = [x509.UniformResourceIdentifier(uri), address]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def write(self, name):
        der = serialization.Encoding.DER
        (folder / f"{name}.der").write_bytes(self.certificate.public_bytes(der))
        (folder / f"{name}.pem").write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption()))
        return self

    def revokes(self, name, *certificates, days=(-1, 30)):
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
            .last_update(NOW + days[0] * DAY).next_update(NOW + days[1] * DAY)
            .add_extension(x509.CRLNumber(len(certificates) + 1), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.key.public_key()), False))
        for it in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(it.certificate.serial_number)
                .revocation_date(NOW - DAY).build())
        crl = builder.sign(self.key, hashes.SHA256())
        (folder / f"{name}.crl").write_bytes(crl.public_bytes(serialization.Encoding.DER))


folder.mkdir(parents=True, exist_ok=True)
ca = Identity("Plant authority", is_ca=True).write("ca")
old_ca = Identity("Old authority", is_ca=True, days=(-30, -1)).write("old_ca")
between = Identity("Line authority", ca, is_ca=True).write("between")
stranger = Identity("Other authority", is_ca=True).write("other_ca")
good = Identity("good", ca).write("good")
revoked = Identity("revoked", ca).write("revoked")
Identity("below", between).write("below")
Identity("soon", ca, days=(-30, 10)).write("soon")
Identity("expired", ca, days=(-30, -1)).write("expired")
Identity("early", ca, days=(1, 30)).write("early")
Identity("self_signed").write("self_signed")
Identity("unknown_authority", stranger).write("unknown_authority")
Identity("of_old_authority", old_ca).write("of_old_authority")
Identity("wrong_host", ca, host="elsewhere.example").write("wrong_host")
Identity("wrong_uri", ca, uri="urn:somebody:else").write("wrong_uri")
Identity("signs_nothing", ca, signs=False).write("signs_nothing")
Identity("for_mail", ca, uses=[ExtendedKeyUsageOID.EMAIL_PROTECTION]).write("for_mail")
impostor = Identity("Plant authority", is_ca=True)
Identity("impostor", impostor).write("impostor")
ca.revokes("ca", revoked)
ca.revokes("ca_later", revoked, good, days=(0, 30))
ca.revokes("ca_stale", revoked, days=(-30, -1))
between.revokes("between")
