"""Where trials are evaluated: in this process, or by workers that may die, hang or wake up too late."""

from wellai_exp.compute._crew import Crew
from wellai_exp.compute._local import Local
from wellai_exp.compute._messages import Job, Note, Work
from wellai_exp.compute._place import Place
from wellai_exp.compute._ray import Ray
from wellai_exp.compute._slurm import Slurm

__all__ = ["Crew", "Job", "Local", "Note", "Place", "Ray", "Slurm", "Work"]
