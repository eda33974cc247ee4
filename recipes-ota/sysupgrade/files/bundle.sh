# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# bundle.sh - signed bundles and detached signatures, for sysupgrade and ota-verify. docs/bundles.md describes the format.
#
# To be sourced after boot-state.sh by a script that runs under `set -eu`. Functions report failure by their return value, with
# the reason for people in $bundle_error; nothing here exits. Nothing of a bundle is used before its signature is verified,
# apart from the sizes in the tar headers.

# shellcheck disable=SC2034  # most variables are for the sourcing script
BUNDLE_KEYS=/etc/otamgr/keys.d
BUNDLE_FORMAT=otamgr-bundle-1

# Limits in bytes. A manifest has some ten lines, a chain some three certificates, a signature at most 72 bytes.
BUNDLE_MANIFEST_LIMIT=65536
BUNDLE_CHAIN_LIMIT=65536
BUNDLE_SIGNATURE_LIMIT=1024

# ---- the archive ---------------------------------------------------------------------------------------------

# bundle_is_recognised FILE: by content, whatever the name: a tar archive whose first member is `manifest`.
bundle_is_recognised() {
    [ "$(dd if="$1" bs=1 count=9 2>/dev/null | hexdump -v -e '1/1 "%02x"')" = 6d616e696665737400 ] &&
        [ "$(dd if="$1" bs=1 skip=257 count=5 2>/dev/null | hexdump -v -e '1/1 "%02x"')" = 7573746172 ]
}

# tar_member_read BLOCK FILE
# Reads the tar header in this block of 512 bytes. Sets member_name, member_bytes, member_block (where its content begins)
# and next_block. Fails when there is no header with a right checksum, of a plain file with a plain name.
tar_member_read() {
    tar_header=$(dd if="$2" bs=512 skip="$1" count=1 2>/dev/null | hexdump -v -e '1/1 "%u "' | awk '
        function octal(at, last,   value) {
            while (at < last && $at == 32) at++
            for (value = 0; at <= last && $at >= 48 && $at <= 55; at++) value = value * 8 + $at - 48
            return at <= last && $at != 0 && $at != 32 ? -1 : value
        }
        NF == 512 {
            # The checksum is that of the header with blanks in place of the checksum.
            for (i = 1; i <= 512; i++) sum += i >= 149 && i <= 156 ? 32 : $i
            for (i = 1; i <= 100 && $i != 0; i++) name = name sprintf("%c", $i)
            size = octal(125, 136)
            if (octal(149, 156) != sum || size < 0 || ($157 != 48 && $157 != 0) || $346 != 0) exit
            if (name !~ /^[A-Za-z0-9][A-Za-z0-9._+-]*$/) exit
            printf "%s %.0f\n", name, size
        }')
    [ -n "$tar_header" ] || return 1
    member_name=${tar_header% *} member_bytes=${tar_header#* }
    member_block=$(($1 + 1))
    next_block=$((member_block + (member_bytes + 511) / 512))
}

# small_member_copied FILE LIMIT COPY: the member that tar_member_read has found.
small_member_copied() {
    if [ "$member_bytes" -lt 1 ] || [ "$member_bytes" -gt "$2" ]; then
        bundle_error="the member $member_name of the bundle has $member_bytes bytes, expected 1 to $2"
        return 5
    fi
    # Positioned by the first dd, read at once by the second: they share the open file.
    { dd bs=512 skip="$member_block" count=0 2>/dev/null && dd bs="$member_bytes" count=1 of="$3" 2>/dev/null; } <"$1" || :
    if [ "$(wc -c <"$3")" -ne "$member_bytes" ]; then
        bundle_error="the bundle ends within its member $member_name"
        return 5
    fi
}

# bundle_opened FILE FOLDER
# Copies manifest, manifest.sig and, if there is one, manifest.crt into FOLDER. Sets payload_name, payload_bytes and
# payload_block, the block of 512 bytes at which the payload begins. The payload is not read.
bundle_opened() {
    rm -f "$2/manifest.crt"
    bundle_error="the bundle is damaged: expected manifest, manifest.sig, perhaps manifest.crt, and an image"
    tar_member_read 0 "$1" && [ "$member_name" = manifest ] || return 5
    small_member_copied "$1" "$BUNDLE_MANIFEST_LIMIT" "$2/manifest" || return 5
    tar_member_read "$next_block" "$1" && [ "$member_name" = manifest.sig ] || return 5
    small_member_copied "$1" "$BUNDLE_SIGNATURE_LIMIT" "$2/manifest.sig" || return 5
    tar_member_read "$next_block" "$1" || return 5
    if [ "$member_name" = manifest.crt ]; then
        small_member_copied "$1" "$BUNDLE_CHAIN_LIMIT" "$2/manifest.crt" || return 5
        tar_member_read "$next_block" "$1" || return 5
    fi
    payload_name=$member_name payload_bytes=$member_bytes payload_block=$member_block
    # Two blocks of zeros end an archive.
    bundle_size=$(stat -L -c %s -- "$1")
    if [ "$bundle_size" -lt $(((next_block + 2) * 512)) ]; then
        bundle_error="the bundle is cut off: $bundle_size bytes, its image $payload_name needs it to have $(((next_block + 2) * 512))"
        return 5
    fi
    if [ "$(dd if="$1" bs=512 skip="$next_block" count=2 2>/dev/null | tr -d '\000' | wc -c)" -ne 0 ]; then
        bundle_error="the bundle holds more than one image: something follows $payload_name"
        return 5
    fi
    bundle_error=''
}

# payload_read: the payload of the bundle on standard input, to standard output, to the byte and in large pieces. Reads of a
# regular file come in full, and all these processes share one position in it.
payload_read() {
    if [ "$payload_block" -gt 0 ]; then dd bs=512 skip="$payload_block" count=0 2>/dev/null || return 1; fi
    payload_pieces=$((payload_bytes / 65536)) payload_rest=$((payload_bytes % 65536))
    if [ "$payload_pieces" -gt 0 ]; then dd bs=65536 count="$payload_pieces" 2>/dev/null || return 1; fi
    if [ "$payload_rest" -gt 0 ]; then dd bs="$payload_rest" count=1 2>/dev/null || return 1; fi
}

# ---- signatures ----------------------------------------------------------------------------------------------

# pem_kind FILE: what the first PEM block is.
pem_kind() {
    sed -n 's/^-----BEGIN \([A-Z ]*\)-----.*$/\1/p' "$1" | head -n 1
}

# key_algorithm FILE: ed25519, p256 or nothing, by the beginning of the DER form, which is the same for all keys of a kind.
# Two algorithms are all that is accepted: whatever else a key in the folder may be, it is not used.
key_algorithm() {
    case $(awk '/^-----END PUBLIC KEY-----/ { exit } inside { printf "%s", $1 } /^-----BEGIN PUBLIC KEY-----/ { inside = 1 }' "$1") in
    MCowBQYDK2VwAyEA*) echo ed25519 ;;
    # P-256 by name, with the point uncompressed or compressed
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE* | MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgA[CD]*) echo p256 ;;
    esac
}

# key_made_signature KEY FILE SIGNATURE
key_made_signature() {
    case $(key_algorithm "$1") in
    ed25519) openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" >/dev/null 2>&1 ;;
    p256) openssl dgst -sha256 -verify "$1" -signature "$3" "$2" >/dev/null 2>&1 ;;
    *) return 1 ;;
    esac
}

# certificate_may_sign CERTIFICATE: where it says what it is for, that must include signing code. A web server's certificate
# of the same authority must not sign updates.
certificate_may_sign() {
    certificate_uses=$(openssl x509 -in "$1" -noout -ext keyUsage 2>/dev/null) || certificate_uses=''
    case $certificate_uses in '' | *'Digital Signature'*) ;; *) return 1 ;; esac
    certificate_uses=$(openssl x509 -in "$1" -noout -ext extendedKeyUsage 2>/dev/null) || certificate_uses=''
    case $certificate_uses in '' | *'Code Signing'*) ;; *) return 1 ;; esac
}

# chain_leads_to ANCHOR FOLDER
# Whether the certificates leaf.pem and others.pem in FOLDER lead to a certificate in ANCHOR. Without a look at the clock: that
# of a device is wrong after a power cut, and a device must accept updates also after years in a drawer. Only ANCHOR is trusted:
# without the -no- options openssl would also take every authority that the system trusts for web sites.
chain_leads_to() {
    openssl verify -no_check_time -no-CApath -no-CAstore -partial_chain -CAfile "$1" \
        ${chain_others:+-untrusted "$chain_others"} "$2/leaf.pem" >"$2/complaint" 2>&1
}

# signature_is_good FILE SIGNATURE CHAIN FOLDER
# Whether a key in keys.d has made SIGNATURE over FILE, or the key of a certificate that leads to one in keys.d; CHAIN holds the
# certificates, leaf first, and may be missing. FOLDER is for temporary files. Sets signed_by.
signature_is_good() {
    signed_by='' chain_others=''
    if ! command -v openssl >/dev/null; then
        bundle_error='the signature cannot be checked: the program openssl is missing (install openssl-bin)'
        return 6
    fi
    trusted_keys=0 trusted_certificates=0
    for key in "$BUNDLE_KEYS"/*.pem; do
        [ -f "$key" ] || continue
        case $(pem_kind "$key") in
        'PUBLIC KEY')
            trusted_keys=$((trusted_keys + 1))
            if key_made_signature "$key" "$1" "$2"; then
                signed_by=$key
                return 0
            fi
            ;;
        CERTIFICATE) trusted_certificates=$((trusted_certificates + 1)) ;;
        esac
    done
    if [ $((trusted_keys + trusted_certificates)) -eq 0 ]; then
        bundle_error="the signature cannot be checked: no public key or certificate in $BUNDLE_KEYS (files *.pem)"
        return 6
    fi
    if [ ! -e "$3" ]; then
        bundle_error="the signature is by none of the public keys in $BUNDLE_KEYS ($trusted_keys there), and no certificate came with it"
        return 6
    fi
    # Only certificates are taken, whatever else is in there.
    awk -v leaf="$4/leaf.pem" -v others="$4/others.pem" '
        /^-----BEGIN CERTIFICATE-----/ { count++; inside = 1 }
        inside { print > (count == 1 ? leaf : others) }
        /^-----END CERTIFICATE-----/ { inside = 0 }
        BEGIN { printf "" > leaf; printf "" > others }' "$3"
    if [ -s "$4/others.pem" ]; then chain_others=$4/others.pem; fi
    if ! openssl x509 -in "$4/leaf.pem" -noout -pubkey >"$4/leaf.key" 2>/dev/null || ! key_made_signature "$4/leaf.key" "$1" "$2"; then
        bundle_error="the signature is neither by a public key in $BUNDLE_KEYS nor by the certificate that came with it (Ed25519 or ECDSA P-256)"
        return 6
    fi
    signer=$(openssl x509 -in "$4/leaf.pem" -noout -subject 2>/dev/null | tr -cd '\040-\176')
    if ! certificate_may_sign "$4/leaf.pem"; then
        bundle_error="the certificate of the signer ($signer) is not for signing code"
        return 6
    fi
    for key in "$BUNDLE_KEYS"/*.pem; do
        if [ -f "$key" ] && [ "$(pem_kind "$key")" = CERTIFICATE ] && chain_leads_to "$key" "$4"; then
            signed_by="$key ($signer)"
            return 0
        fi
    done
    bundle_error="the certificate of the signer ($signer) leads to none of the certificates in $BUNDLE_KEYS ($trusted_certificates there)"
    return 6
}

# ---- the manifest --------------------------------------------------------------------------------------------

# manifest_is_understood FILE
# Sets manifest_compatible, manifest_version, manifest_image, manifest_image_bytes, manifest_image_sha256,
# manifest_rootfs_bytes, manifest_rootfs_sha256 and manifest_description. A key that is not known may be a restriction that
# somebody relies on, so it is refused; one that begins with x- is for others.
manifest_is_understood() {
    manifest_format='' manifest_compatible='' manifest_version='' manifest_image='' manifest_image_bytes='' manifest_image_sha256=''
    manifest_rootfs_bytes='' manifest_rootfs_sha256='' manifest_description=''
    bundle_error='the manifest is no text: expected lines KEY=VALUE of printable ASCII, each ended by a newline'
    { [ "$(tr -d '\012\040-\176' <"$1" | wc -c)" -eq 0 ] && [ -z "$(tail -c 1 "$1")" ]; } || return 4
    manifest_twice=$(sed 's/=.*//' "$1" | sort | uniq -d | head -n 1)
    if [ -n "$manifest_twice" ]; then
        bundle_error="the manifest has the key $manifest_twice twice"
        return 4
    fi
    while IFS= read -r manifest_line; do
        manifest_value=${manifest_line#*=}
        case $manifest_line in
        format=*) manifest_format=$manifest_value ;;
        compatible=*) manifest_compatible=$manifest_value ;;
        version=*) manifest_version=$manifest_value ;;
        image=*) manifest_image=$manifest_value ;;
        image-bytes=*) manifest_image_bytes=$manifest_value ;;
        image-sha256=*) manifest_image_sha256=$manifest_value ;;
        rootfs-bytes=*) manifest_rootfs_bytes=$manifest_value ;;
        rootfs-sha256=*) manifest_rootfs_sha256=$manifest_value ;;
        description=*) manifest_description=$manifest_value ;;
        x-?*=*) ;;
        *)
            bundle_error="the manifest has a line that this sysupgrade does not know, which may be a restriction: '$manifest_line'"
            return 4
            ;;
        esac
    done <"$1"
    if [ "$manifest_format" != "$BUNDLE_FORMAT" ]; then
        bundle_error="the manifest has format '$manifest_format', expected $BUNDLE_FORMAT"
        return 4
    fi
    manifest_value_is compatible "$manifest_compatible" '[!-~]{1,64}' || return 4
    version_is_valid "$manifest_version" || {
        bundle_error="the manifest has version '$manifest_version', expected numbers with dots such as 1.4.2, perhaps with a suffix such as -rc1"
        return 4
    }
    manifest_value_is image "$manifest_image" '[A-Za-z0-9][A-Za-z0-9._+-]{0,99}' || return 4
    manifest_value_is image-bytes "$manifest_image_bytes" '[1-9][0-9]{0,14}' || return 4
    manifest_value_is image-sha256 "$manifest_image_sha256" '[0-9a-f]{64}' || return 4
    if [ -n "$manifest_rootfs_bytes$manifest_rootfs_sha256" ]; then
        manifest_value_is rootfs-bytes "$manifest_rootfs_bytes" '[1-9][0-9]{0,14}' || return 4
        manifest_value_is rootfs-sha256 "$manifest_rootfs_sha256" '[0-9a-f]{64}' || return 4
    fi
    bundle_error=''
}

# manifest_value_is KEY VALUE EXPRESSION
manifest_value_is() {
    printf '%s\n' "$2" | grep -qxE -e "$3" || {
        bundle_error="the manifest has $1 '$2', expected $3"
        return 4
    }
}

# manifest_fits_payload: whether the signed manifest speaks of the image that is in the bundle, by name and size.
manifest_fits_payload() {
    if [ "$manifest_image" != "$payload_name" ] || [ "$manifest_image_bytes" != "$payload_bytes" ]; then
        bundle_error="the manifest speaks of $manifest_image with $manifest_image_bytes bytes, the bundle holds $payload_name with $payload_bytes"
        return 5
    fi
}
