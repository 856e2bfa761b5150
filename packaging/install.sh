#!/bin/sh
# Installs what lies beside it; needs no network. As root:
#   ./install.sh                  below /usr/local
#   ./install.sh --prefix /usr    elsewhere
#   ./install.sh --remove         takes it away again; plant file and state stay
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local destdir= remove=
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --prefix) [ $# -ge 2 ] || usage; prefix=$2; shift ;;
        --destdir) [ $# -ge 2 ] || usage; destdir=$2; shift ;; # packagers stage below this
        --remove) remove=yes ;;
        *) usage ;;
    esac
    shift
done
case "$prefix" in
    /usr) units=/usr/lib/systemd/system ;;
    /*) units=/etc/systemd/system ;;
    *) echo "install.sh: --prefix $prefix: write an absolute path" >&2; exit 2 ;;
esac
root=$destdir$prefix
completions="$root/share/bash-completion/completions/resonance
$root/share/zsh/site-functions/_resonance
$root/share/fish/vendor_completions.d/resonance.fish"

has_systemd() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

if [ -n "$remove" ]; then
    if has_systemd; then systemctl disable --now resonance.service 2>/dev/null || true; fi
    rm -rf "$root/lib/resonance" "$root/share/resonance" "$root/share/doc/resonance"
    rm -f "$root/bin/resonance" "$destdir$units/resonance.service"
    rm -f "$root/share/man/man1/resonance.1" "$root/share/man/man1/resonance-"*.1
    echo "$completions" | while read -r file; do rm -f "$file"; done
    if has_systemd; then systemctl daemon-reload; fi
    echo "removed; /etc/resonance and /var/lib/resonance are left"
    exit 0
fi

# What was damaged on its way is not installed.
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || {
    echo "install.sh: a file differs from SHA256SUMS; copy the archive anew" >&2
    exit 1
}
put() { install -D -m "$1" "$2" "$3"; }
# A library of an earlier version must not be taken for this one's.
rm -rf "$root/lib/resonance"
put 755 "$here/resonance" "$root/lib/resonance/resonance"
for library in "$here"/lib/*; do put 644 "$library" "$root/lib/resonance/lib/${library##*/}"; done
install -d "$root/bin"
# The program looks for its library beside itself, wherever it is called from.
ln -sf ../lib/resonance/resonance "$root/bin/resonance"
(cd "$here/models" && find . -type f) | while read -r file; do
    put 644 "$here/models/$file" "$root/share/resonance/models/$file"
done
for page in "$here"/man/man1/*; do put 644 "$page" "$root/share/man/man1/${page##*/}"; done
echo "$completions" | while read -r file; do
    put 644 "$here/completions/${file##*/}" "$file"
done
for doc in "$here"/doc/*; do put 644 "$doc" "$root/share/doc/resonance/${doc##*/}"; done
install -d "$destdir$units"
sed "s#/usr/bin/resonance#$prefix/bin/resonance#" "$here/resonance.service" \
    >"$destdir$units/resonance.service"
chmod 644 "$destdir$units/resonance.service"
if has_systemd; then systemctl daemon-reload; fi
[ -z "$destdir" ] || exit 0
install -d -m 755 /etc/resonance
cat <<END
installed below $prefix
    resonance demo                                  shows that it works
    cp $prefix/share/doc/resonance/plant.toml /etc/resonance/plant.toml
    systemctl enable --now resonance                runs it, once that file is yours
END
