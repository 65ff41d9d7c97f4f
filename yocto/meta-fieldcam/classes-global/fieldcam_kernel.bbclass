# Adds the repository's kernel options to whatever kernel the board has: every fragment of images/kernel, and the board's.
# A class instead of a bbappend for each vendor's recipe, for their names change with every release.

# nooelint: oelint.task.noanonpython - the only way to speak of every kernel recipe
python () {
    if not bb.data.inherits_class('kernel-yocto', d):
        return
    folder = os.path.join(d.getVar('FIELDCAM_CHECKOUT'), 'images', 'kernel')
    board = d.getVar('FIELDCAM_KERNEL_BOARD')
    fragments = sorted(name for name in os.listdir(folder) if name.endswith('.cfg'))
    d.prependVar('FILESEXTRAPATHS', '%s:%s:' % (folder, os.path.join(folder, 'boards')))
    d.appendVar('SRC_URI', ''.join(' file://' + name for name in fragments + [board + '.cfg']))
}
