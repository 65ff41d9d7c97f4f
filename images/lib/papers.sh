# shellcheck shell=bash
# What images/build and the other parts set.
# shellcheck disable=SC2154
# What an image is made of, beside it.

# make_papers VERSION OUT
make_papers() {
    local said
    said=$(python3 "$root/images/lib/papers.py" "$board" "$1" "$2" "$work/$board/root" "$like_tree" "${ffmpeg%/*}" "$mediamtx" \
        "$system_tree=$lock_dir/root-$board.lock" "$kernel_tree=$lock_dir/kernel.lock,linux-binary-*,linux-modules-[0-9]*" \
        "$boot_tree=$lock_dir/boot-$board.lock,$(IFS=,; printf '%s' "${boot_packages[*]}")" \
        ${developer:+"$developer_tree=$lock_dir/developer.lock,$(IFS=,; printf '%s' "${developer_packages[*]}")"})
    say "papers: $said"
}
