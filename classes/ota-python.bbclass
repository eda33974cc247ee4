# SPDX-License-Identifier: MIT
#
# For recipes and classes that call lib/otamgr while they are parsed or in a task: they are parsed anew when it has changed. BitBake itself looks
# at recipes and classes only, and ends with "the basehash value changed" where the Python that a task calls is another one than at its parsing.

# nooelint: oelint.task.noanonpython - what a recipe depends on is known while it is parsed
python () {
    import glob, os
    for path in sorted(glob.glob(glob.escape(os.path.dirname(otamgr.__file__)) + '/*.py')):
        bb.parse.mark_dependency(d, path)
}
