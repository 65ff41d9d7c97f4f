# shellcheck shell=bash
# What images/build and the other parts set, and what the tools tree expands.
# shellcheck disable=SC2154,SC2016,SC2054,SC2034
# FFmpeg from Debian's source package with what a box uses of it, linked with Debian's libx264: 8 MB where Debian's own
# packages are 450 MB. Cross-compiled, so it takes three minutes, once.

ffmpeg_shop=(gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross make base-files bash dash coreutils diffutils grep sed
    mawk findutils patch tar xz-utils pkgconf-bin dpkg apt debian-archive-keyring ca-certificates gpgv libx264-dev:arm64
    libc6-dev:arm64)
ffmpeg_options=(--disable-everything --disable-autodetect --disable-doc --disable-debug --disable-ffplay --disable-ffprobe
    --disable-network --enable-network --enable-gpl --enable-libx264 --enable-v4l2-m2m --enable-indev=lavfi
    --enable-filter=testsrc,testsrc2,smptebars,smptehdbars,color,colorspectrum,allrgb,yuvtestsrc,rgbtestsrc,mandelbrot,life,nullsrc
    --enable-filter=scale,format,realtime,setpts,settb,split,geq,overlay,pad,setsar,setdar,fps,null,copy,crop,hflip,vflip,transpose,trim,select,drawbox,hue,lut,lutyuv,noise,loop,concat
    --enable-demuxer=matroska,mov,mpegts,avi,rtsp,sdp,rtp,h264,hevc,mjpeg,mpjpeg,image2,image2pipe,rawvideo,image_jpeg_pipe,concat
    --enable-decoder=h264,hevc,mjpeg,mpeg4,mpeg2video,vp8,vp9,rawvideo,wrapped_avframe,h264_v4l2m2m
    --enable-encoder=libx264,h264_v4l2m2m,mjpeg,rawvideo,wrapped_avframe
    --enable-muxer=rtsp,rtp,mp4,mov,matroska,mjpeg,mpjpeg,image2,image2pipe,h264,hevc,rawvideo,null,mpegts,segment,tee
    --enable-parser=h264,hevc,mjpeg,mpeg4video,vp8,vp9
    --enable-bsf=h264_mp4toannexb,hevc_mp4toannexb,extract_extradata,dump_extra,h264_metadata,mjpeg2jpeg,null,setts
    --enable-protocol=file,pipe,tcp,udp,rtp)

# key_of_ffmpeg SHOP: changes with what goes into the program, and not with where the work folder lies: this file (options,
# steps), its source, and the tree that it is built in, whose name has the hash of its packages.
key_of_ffmpeg() {
    local file=$lock_dir/ffmpeg-source.lock
    [[ -f $file ]] || file=/dev/null
    printf '%s\n' "$suite" "${1##*/}" | cat "${BASH_SOURCE[0]}" "$file" - | sha256sum | cut -c1-12
}

# make_ffmpeg: its source package is locked as the trees are, `FILE source VERSION SHA256`; sets `ffmpeg` to the program.
make_ffmpeg() {
    local shop folder locked_version
    tree ffmpeg amd64,arm64 extract "${ffmpeg_shop[@]}"
    shop=$made
    folder=$work/ffmpeg-$(key_of_ffmpeg "$shop")
    ffmpeg=$folder/ffmpeg
    [[ ! -x $ffmpeg ]] || return 0
    rm -rf "$work"/ffmpeg-*
    mkdir -p "$folder.new"
    locked_version=$(sed -n '1s/^[^ ]* source \([^ ]*\) .*/\1/p' "$lock_dir/ffmpeg-source.lock" 2>/dev/null || true)
    say "building FFmpeg for the box (three minutes)"
    sources deb-src >"$shop/etc/apt/sources.list.d/fieldcam.list"
    ln -sf mawk "$shop/usr/bin/awk"
    cp /etc/resolv.conf "$shop/etc/resolv.conf"
    in_shop() {
            unshare --mount --propagation private bash -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
            mkdir -p "$1/out" && mount --bind "$2" "$1/out" && exec chroot "$1" bash -euc "$3"' in_shop "$shop" "$folder.new" "$1"
    }
    in_shop 'rm -rf /build
        mkdir -p /build /var/lib/apt/lists/partial
        cd /build
        apt-get -qq -o APT::Sandbox::User=root update
        # Of the release with its updates, not of the suites beside it.
        apt-cache madison ffmpeg | awk -F "[| ]+" -v suite='"$suite"' \
            "\$5 ~ \"^\" suite \"(-updates|-security)?/\" { print \$3 }" | sort -uV >/out/versions
        version=$(grep -xF "'"$locked_version"'" /out/versions || tail -n 1 /out/versions)
        echo "$version" >/out/version
        apt-get -qq -o APT::Sandbox::User=root source --download-only "ffmpeg=$version"
        sha256sum *.dsc *.tar.* >/out/sources.txt
        mkdir source
        cd source
        tar -xf ../*.orig.tar.?z --strip-components=1
        tar -xf ../*.debian.tar.?z
        grep -v "^#" debian/patches/series | while read -r patch; do patch -sp1 <"debian/patches/$patch"; done' >"$work/ffmpeg.log" 2>&1 ||
        die "FFmpeg's source could not be fetched" "$(tail -n 5 "$work/ffmpeg.log")"
    settle ffmpeg-source < <(
        awk -v version="$(cat "$folder.new/version")" '{ print $2, "source", version, $1 }' "$folder.new/sources.txt"
    )
    in_shop 'cd /build/source
        PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig ./configure --prefix=/usr --arch=aarch64 --target-os=linux \
            --enable-cross-compile --cross-prefix=aarch64-linux-gnu- --pkg-config=pkgconf '"${ffmpeg_options[*]}"' ||
            { tail -n 30 ffbuild/config.log; exit 1; }
        make -j"$(nproc)" ffmpeg
        aarch64-linux-gnu-strip -o /out/ffmpeg ffmpeg
        cp debian/copyright /out/copyright' >>"$work/ffmpeg.log" 2>&1 ||
        die "FFmpeg could not be built" "the whole log: $work/ffmpeg.log" "$(tail -n 10 "$work/ffmpeg.log")"
    rm -rf "$shop/build"
    # The lock may be another one now.
    mv "$folder.new" "$work/ffmpeg-$(key_of_ffmpeg "$shop")"
    ffmpeg=$work/ffmpeg-$(key_of_ffmpeg "$shop")/ffmpeg
}
