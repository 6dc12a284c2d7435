"""Single bytes of a checkpoint, flipped."""

from safelab.training.lifecycle import checkpoint
from scripts.tools.chaos.world import UPDATES, Campaign, World, differences, in_child, run_of


def flips(world: World, regions: int) -> Campaign:
    """One byte of each region of each file of the newest checkpoint flipped: named, passed over, the rows the same."""
    campaign = Campaign("a flipped byte")
    output = world.folder / "flipped"
    ended = in_child(lambda: world.train(output, updates=UPDATES - 1))
    assert ended.code == 0, ended.output
    newest = checkpoint.checkpoints_in(run_of(output) / "checkpoints")[-1]
    before = newest.parent / checkpoint.checkpoints_in(newest.parent)[-2].name
    for path in sorted(path for path in newest.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        size = len(whole)
        for place in sorted({(2 * region + 1) * size // (2 * regions) for region in range(regions)} | {0, size - 1}):
            data = bytearray(whole)
            data[place] ^= 0x40
            path.write_bytes(bytes(data))
            campaign.tries += 1
            if checkpoint.newest(newest.parent) != (before, [newest]):
                campaign.found(f"{path.name} byte {place} of {size}: not seen")
            path.write_bytes(whole)
    if not checkpoint.is_whole(newest):
        campaign.found("put together again it is not whole")
    whole_files = {path: path.read_bytes() for path in newest.rglob("*") if path.is_file()}
    victim = newest / "tensors.safetensors"
    victim.write_bytes(whole_files[victim][:-1])
    ended = in_child(lambda: world.train(output))
    if f"damaged checkpoint, passed over: {newest}" not in ended.output:
        campaign.found(f"not named: {ended.output[-600:]}")
    for said in differences(run_of(output), world.reference):
        campaign.found(f"after it was passed over: {said}")
    return campaign
