import torch

# The tests compare weights bit for bit. With more threads, the order of additions, and therefore
# the last bits, could change.
torch.set_num_threads(1)
