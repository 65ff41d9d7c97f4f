# Which slot boots: U-Boot's side of the A/B scheme, for every board whose boot method sets devtype and devnum.
#
# The state is U-Boot's redundant environment format in the raw partition `bootstate`: two copies of 512 bytes (crc32,
# flag byte, strings), 1 MiB apart, so that RAUC's uboot backend and fw_setenv speak it unchanged. Each write replaces the
# older copy by one sector; whatever a cut leaves there, the other copy stands. Slots are the FAT partitions boot_a and
# boot_b with vmlinuz, initrd.img and slot.env, found by name.
# Only setenv, never NAME=value: the environment hides shell variables. Numbers are hexadecimal without 0x, as RAUC's are.
setenv V "BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_GOOD"
# Places in RAM, away from U-Boot, from the tree that the firmware gave, and from each other: the boards' default places
# overlap with a kernel of more than 36 MB.
setexpr base ${ramdisk_addr_r} \& 0xf0000000
setexpr st0 ${base} + 0x06000000
setexpr st1 ${base} + 0x06001000
setexpr stx ${base} + 0x06002000
setexpr sty ${base} + 0x06002004
setexpr tmp ${base} + 0x06003000
setexpr cfg ${base} + 0x06004000
setexpr faddr ${base} + 0x06800000
setexpr oops ${base} + 0x07000000
setexpr kaddr ${base} + 0x08000000
setexpr raddr ${base} + 0x10000000

# The copy at ${p}: true when its checksum is right; its variables are taken then.
setenv st_check 'setexpr pd ${p} + 5; cp.b ${p} ${stx} 4; cp.b ${pd} ${sty} 0x1fb; env import -c ${stx} 0x1ff ${V}'
# The variables over the older copy, with the next flag.
setenv st_write 'setexpr flag 0x${flag} + 1; mw.b ${tmp} 0x${flag}; setexpr.b flag *${tmp}; env export -c -s 0x1ff ${stx} ${V}; mw.b ${st0} 0 0x200; cp.b ${stx} ${st0} 4; setexpr pd ${st0} + 4; mw.b ${pd} 0x${flag}; setexpr pd ${st0} + 5; cp.b ${sty} ${pd} 0x1fb; if test ${cur} = 0; then ${devtype} write ${st0} ${lba1} 1; setenv cur 1; else ${devtype} write ${st0} ${lba0} 1; setenv cur 0; fi'
# File ${f} to ${a}; its crc32 must be ${want}, or ${wantx} where crc32 stores it the other way round.
setenv ld 'setenv ok n; if load ${devtype} ${devnum}:${bp} ${a} ${f}; then mw.l ${tmp} 0 2; crc32 ${a} ${filesize} ${tmp}; setexpr.l got *${tmp}; if itest 0x${got} == 0x${want}; then setenv ok y; elif itest 0x${got} == 0x${wantx}; then setenv ok y; else echo AB: ${f} checksum wrong; fi; fi; test ${ok} = y'
# Boots slot ${s}; comes back only when that is not possible.
setenv slot 'if test ${s} = A; then setenv pn boot_a; else setenv pn boot_b; fi; setenv slot_args; setenv kernel_crc; if part number ${devtype} ${devnum} ${pn} bp; then if load ${devtype} ${devnum}:${bp} ${cfg} slot.env 0x4000; then if env import -c ${cfg} ${filesize} slot_args kernel_crc kernel_crcx initrd_crc initrd_crcx; then setenv a ${raddr}; setenv f initrd.img; setenv want ${initrd_crc}; setenv wantx ${initrd_crcx}; if run ld; then setenv rsize ${filesize}; setenv a ${kaddr}; setenv f vmlinuz; setenv want ${kernel_crc}; setenv wantx ${kernel_crcx}; if run ld; then setenv bootargs "${slot_args} rauc.slot=${s}"; echo AB: booting ${s}; booti ${kaddr} ${raddr}:${rsize} ${fdtp}; fi; fi; fi; fi; fi; echo AB: slot ${s} cannot be booted'

# The device tree that the firmware gave, moved away from what is loaded, with room to grow.
setenv fdtp ${fdt_addr}
if test -z "${fdtp}"; then setenv fdtp ${fdtcontroladdr}; fi
if fdt move ${fdtp} ${faddr} 0x200000; then
  setenv fdtp ${faddr}
  # What the kernel said last outlives a reset in 1 MiB that nobody else writes to: neither U-Boot nor what starts it. A tree
  # has its reserved memory in as many cells as its root, or Linux takes none of it.
  if fdt get value acells / "#address-cells"; then if fdt get value scells / "#size-cells"; then
    # True when there was none before.
    if fdt mknode / reserved-memory; then
      fdt set /reserved-memory "#address-cells" "<${acells}>"
      fdt set /reserved-memory "#size-cells" "<${scells}>"
      fdt set /reserved-memory ranges
    fi
    setenv ahigh; if itest ${acells} == 2; then setenv ahigh "0 "; fi
    setenv shigh; if itest ${scells} == 2; then setenv shigh "0 "; fi
    fdt mknode /reserved-memory ramoops@${oops}
    setenv node /reserved-memory/ramoops@${oops}
    fdt set ${node} compatible ramoops
    fdt set ${node} reg "<${ahigh}0x${oops} ${shigh}0x100000>"
    fdt set ${node} no-map
    fdt set ${node} record-size "<0x10000>"
    fdt set ${node} console-size "<0x40000>"
    fdt set ${node} ecc-size "<16>"
  fi; fi
fi

setenv cur 1; setenv flag 0; setenv v0 n; setenv v1 n
if part start ${devtype} ${devnum} bootstate lba0; then
  setexpr lba1 ${lba0} + 0x800
  ${devtype} dev ${devnum}
  mw.b ${st0} 0 0x200; ${devtype} read ${st0} ${lba0} 1
  mw.b ${st1} 0 0x200; ${devtype} read ${st1} ${lba1} 1
  setexpr pd ${st0} + 4; setexpr.b f0 *${pd}
  setexpr pd ${st1} + 4; setexpr.b f1 *${pd}
  setenv p ${st0}; if run st_check; then setenv v0 y; fi
  setenv p ${st1}; if run st_check; then setenv v1 y; fi
  if test ${v0}${v1} = yy; then
    # The newer copy is the one that is ahead, modulo 256.
    setexpr d ${f1} - ${f0}; setexpr d ${d} \& 0xff
    if itest ${d} == 0; then setenv v1 n; elif itest ${d} < 0x80; then setenv v0 n; else setenv v1 n; fi
  fi
  if test ${v1} = y; then setenv cur 1; setenv flag ${f1}; setenv p ${st1}; run st_check;
  elif test ${v0} = y; then setenv cur 0; setenv flag ${f0}; setenv p ${st0}; run st_check;
  else echo AB: no valid state, defaults; env delete BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_GOOD; fi
else
  echo AB: no state partition; env delete BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_GOOD
  setenv st_write true
fi
if test "${BOOT_GOOD}" != B; then setenv BOOT_GOOD A; fi
if test -z "${BOOT_ORDER}"; then if test ${BOOT_GOOD} = A; then setenv BOOT_ORDER "A B"; else setenv BOOT_ORDER "B A"; fi; fi
if test -z "${BOOT_A_LEFT}"; then setenv BOOT_A_LEFT 3; fi
if test -z "${BOOT_B_LEFT}"; then setenv BOOT_B_LEFT 3; fi
echo "AB: copy ${cur} flag ${flag} valid ${v0}${v1} order ${BOOT_ORDER} left A=${BOOT_A_LEFT} B=${BOOT_B_LEFT} good ${BOOT_GOOD}"

# A try is counted before its slot is loaded: a crash while loading counts too.
for i in ${BOOT_ORDER}; do
  setenv s ${i}
  if test ${s} = A; then setenv n ${BOOT_A_LEFT}; else setenv n ${BOOT_B_LEFT}; fi
  if itest 0x${n} > 0; then
    setexpr n 0x${n} - 1
    if test ${s} = A; then setenv BOOT_A_LEFT ${n}; else setenv BOOT_B_LEFT ${n}; fi
    run st_write
    run slot
  else
    echo AB: slot ${s} has no tries left
  fi
done

echo AB: nothing bootable in the order: back to the last good slot ${BOOT_GOOD}
if test ${BOOT_GOOD} = A; then setenv BOOT_ORDER "A B"; setenv BOOT_A_LEFT 3; else setenv BOOT_ORDER "B A"; setenv BOOT_B_LEFT 3; fi
run st_write
for i in ${BOOT_ORDER}; do setenv s ${i}; run slot; done
echo AB: nothing boots, reset in 10 s
sleep 10
reset
