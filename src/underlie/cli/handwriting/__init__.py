"""The study of handwriting: classifiers, few labels and generated images, ours beside what the papers print."""
